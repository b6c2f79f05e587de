//! The busiest clients of all partitions, for the status: collected part by part, in memory that does not grow with
//! the number of clients.

use std::cmp::Reverse;
use std::net::IpAddr;

/// A client and what it has spent in the current window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BusyClient {
    /// Its address.
    pub address: IpAddr,
    /// Requests to regular endpoints.
    pub requests: u64,
    /// Requests to admin endpoints.
    pub admin_requests: u64,
    /// Where the oldest slot with one of them in it begins, on the limiter's clock.
    pub since_ms: u64,
}

impl BusyClient {
    /// The most requests first; of equally busy ones, the lower address.
    fn rank(&self) -> (Reverse<u64>, IpAddr) {
        (Reverse(self.requests + self.admin_requests), self.address)
    }
}

/// The busiest so far.
pub struct Busiest {
    clients: Vec<BusyClient>,
    limit: usize,
}

impl Busiest {
    /// Will be at most `limit`, at least 1.
    pub fn new(limit: usize) -> Busiest {
        Busiest {
            clients: Vec::new(),
            limit: limit.max(1),
        }
    }

    /// Allocates before a lock is taken.
    pub fn make_room_for(&mut self, count: usize) {
        self.clients.reserve(count);
    }

    /// One more candidate.
    pub fn add(&mut self, client: BusyClient) {
        self.clients.push(client);
    }

    /// Lets go of all that are not among the busiest.
    pub fn keep_the_busiest(&mut self) {
        if self.clients.len() > self.limit {
            self.clients
                .select_nth_unstable_by_key(self.limit - 1, BusyClient::rank);
            self.clients.truncate(self.limit);
        }
    }

    /// The busiest first.
    pub fn into_sorted(mut self) -> Vec<BusyClient> {
        self.clients.sort_unstable_by_key(BusyClient::rank);
        self.clients
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(last: u8, requests: u64, admin_requests: u64) -> BusyClient {
        BusyClient {
            address: IpAddr::from([10, 0, 0, last]),
            requests,
            admin_requests,
            since_ms: 0,
        }
    }

    #[test]
    fn the_busiest_come_first_and_equals_by_address_however_they_were_collected() {
        let mut all: Vec<BusyClient> = (0..50)
            .map(|last| client(last, u64::from(last % 7), 0))
            .collect();
        all.push(client(99, 3, 3));
        let collect = |chunks: usize| {
            let mut busiest = Busiest::new(10);
            for chunk in all.chunks(chunks) {
                busiest.make_room_for(chunk.len());
                chunk.iter().for_each(|client| busiest.add(*client));
                busiest.keep_the_busiest();
            }
            busiest.into_sorted()
        };
        let expected = [6, 13, 20, 27, 34, 41, 48, 99, 5, 12];
        for chunks in [1, 3, 100] {
            let found: Vec<u8> = collect(chunks)
                .iter()
                .map(|client| match client.address {
                    IpAddr::V4(address) => address.octets()[3],
                    IpAddr::V6(_) => unreachable!("only IPv4 was added"),
                })
                .collect();
            assert_eq!(expected.as_slice(), found);
        }
    }
}
