//! How many connections are open, in all and of each address, over all acceptors.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};

/// The bounds on open connections, and what is open.
///
/// The lock is taken when a connection begins and when it ends, for the time of a look into a map; no request takes it.
#[derive(Debug)]
pub struct Admission {
    connections_max: usize,
    connections_per_address_max: usize,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    count: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// Which bound was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// That of all connections.
    Server,
    /// That of the address.
    Address,
}

/// A connection that was let in. It counts until this is dropped.
#[derive(Debug)]
pub struct Admitted {
    admission: Arc<Admission>,
    counted_of: Option<IpAddr>,
}

impl Admission {
    /// Lets in at most `connections_max` connections, of one address at most `connections_per_address_max`.
    pub fn new(connections_max: usize, connections_per_address_max: usize) -> Admission {
        Admission {
            connections_max,
            connections_per_address_max,
            open: Mutex::default(),
        }
    }

    /// Counts a connection unless a bound is met. Without an address only the bound of all holds.
    pub fn admit(self: &Arc<Self>, address: Option<IpAddr>) -> Result<Admitted, Full> {
        let mut open = self.lock();
        if open.count >= self.connections_max {
            return Err(Full::Server);
        }
        if let Some(address) = address {
            let of_address = open.by_address.entry(address).or_insert(0);
            if *of_address >= self.connections_per_address_max {
                return Err(Full::Address);
            }
            *of_address += 1;
        }
        open.count += 1;
        Ok(Admitted {
            admission: self.clone(),
            counted_of: address,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().expect("no holder panics")
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut open = self.admission.lock();
        open.count -= 1;
        let Some(address) = self.counted_of else {
            return;
        };
        if let Entry::Occupied(mut entry) = open.by_address.entry(address) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn address(last: u8) -> Option<IpAddr> {
        Some(Ipv4Addr::new(10, 0, 0, last).into())
    }

    #[test]
    fn a_connection_that_ends_makes_room_for_another() {
        let admission = Arc::new(Admission::new(3, 2));
        let first = admission.admit(address(1)).unwrap();
        let _second = admission.admit(address(1)).unwrap();
        assert_eq!(Full::Address, admission.admit(address(1)).unwrap_err());
        let _other = admission.admit(address(2)).unwrap();
        assert_eq!(Full::Server, admission.admit(address(3)).unwrap_err());
        drop(first);
        let _third = admission.admit(address(1)).unwrap();
    }

    #[test]
    fn an_address_without_connections_is_forgotten() {
        let admission = Arc::new(Admission::new(1000, 2));
        for last in 0..=255 {
            drop(admission.admit(address(last)).unwrap());
        }
        assert!(admission.lock().by_address.is_empty());
        assert_eq!(0, admission.lock().count);
    }

    #[test]
    fn without_an_address_only_the_bound_of_all_holds() {
        let admission = Arc::new(Admission::new(2, 1));
        let _both = [
            admission.admit(None).unwrap(),
            admission.admit(None).unwrap(),
        ];
        assert_eq!(Full::Server, admission.admit(None).unwrap_err());
    }
}
