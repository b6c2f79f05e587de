//! What one thread knows: the versions that it has seen, and what was acknowledged to it.

/// An update that got no answer: it may have taken effect, once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unanswered {
    /// The store that sent it.
    pub store: usize,
    /// Of which product.
    pub product: usize,
    /// By how much.
    pub delta: i64,
    /// Under which key.
    pub key: u64,
}

/// So many sentences are kept; more are counted.
const PROBLEMS_MAX: usize = 100;

/// The books of one thread. Products are numbers from 0.
#[derive(Clone, Debug)]
pub struct Books {
    /// The version of each product as last heard of.
    pub versions: Vec<u64>,
    applied: Vec<u32>,
    sums: Vec<i64>,
    /// Updates without an answer.
    pub unanswered: Vec<Unanswered>,
    /// Repeats that got the first answer.
    pub replays: u64,
    problems: Vec<String>,
    next_key: u64,
}

impl Books {
    /// Of a thread that has heard of nothing; each product is at version 1.
    pub fn new(products: usize) -> Books {
        Books {
            versions: vec![1; products],
            applied: vec![0; products],
            sums: vec![0; products],
            unanswered: Vec::new(),
            replays: 0,
            problems: Vec::new(),
            next_key: 0,
        }
    }

    /// A key that this thread has not used.
    pub fn next_key(&mut self) -> u64 {
        self.next_key += 1;
        self.next_key
    }

    /// A change took effect.
    pub fn apply(&mut self, product: usize, delta: i64, version: u64) {
        self.applied[product] += 1;
        self.sums[product] += delta;
        self.hear(product, version);
    }

    /// A product stands at `version`, as far as somebody said.
    pub fn hear(&mut self, product: usize, version: u64) {
        let known = &mut self.versions[product];
        *known = version.max(*known);
    }

    /// The server did something that it must not do.
    pub fn complain(&mut self, problem: String) {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(problem);
        }
    }

    /// What was complained of.
    pub fn problems(&self) -> &[String] {
        &self.problems
    }

    /// How often a product was changed, and by how much in all.
    pub fn of(&self, product: usize) -> (u64, i64) {
        (u64::from(self.applied[product]), self.sums[product])
    }

    /// How many changes took effect.
    pub fn applied(&self) -> u64 {
        self.applied.iter().map(|count| u64::from(*count)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_books_add_up() {
        let mut books = Books::new(3);
        books.apply(1, -2, 5);
        books.apply(1, 7, 4);
        books.hear(2, 9);
        assert_eq!((2, 5), books.of(1));
        assert_eq!(vec![1, 5, 9], books.versions);
        assert_eq!(2, books.applied());
        assert_ne!(books.next_key(), books.next_key());
        (0..2 * PROBLEMS_MAX).for_each(|_| books.complain(String::new()));
        assert_eq!(PROBLEMS_MAX, books.problems().len());
    }
}
