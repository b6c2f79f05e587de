//! Which product is next.

use std::fmt;
use std::str::FromStr;

use rand::RngExt;
use rand::distr::Distribution;
use rand::rngs::SmallRng;
use rand_distr::Zipf;

/// How popular products are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Popularity {
    /// All alike.
    Uniform,
    /// The n-th is chosen in proportion to n to the power of minus this.
    Zipf(f64),
}

impl fmt::Display for Popularity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Popularity::Uniform => f.write_str("uniform"),
            Popularity::Zipf(exponent) => write!(f, "zipf:{exponent}"),
        }
    }
}

impl FromStr for Popularity {
    type Err = String;

    fn from_str(text: &str) -> Result<Popularity, String> {
        let exponent = |text: &str| text.parse().ok().filter(|it| (0.0..=10.0).contains(it));
        match text.split_once(':') {
            None if text == "uniform" => Ok(Popularity::Uniform),
            None if text == "zipf" => Ok(Popularity::Zipf(0.99)),
            Some(("zipf", number)) => exponent(number)
                .map(Popularity::Zipf)
                .ok_or_else(|| format!("{number} is no exponent from 0 to 10")),
            _ => Err("neither uniform nor zipf:<exponent>".to_owned()),
        }
    }
}

/// Draws products.
#[derive(Clone, Copy, Debug)]
pub enum Sampler {
    /// From so many.
    Uniform(usize),
    /// The most popular is 0.
    Zipf(Zipf<f64>),
}

impl Sampler {
    /// Over `products`, at least one.
    pub fn new(popularity: Popularity, products: usize) -> Sampler {
        match popularity {
            Popularity::Zipf(exponent) if products > 1 => Sampler::Zipf(
                Zipf::new(products as f64, exponent).expect("the exponent was checked"),
            ),
            _ => Sampler::Uniform(products),
        }
    }

    /// The number of the next product.
    pub fn draw(&self, random: &mut SmallRng) -> usize {
        match self {
            Sampler::Uniform(products) => random.random_range(0..*products),
            Sampler::Zipf(zipf) => zipf.sample(random) as usize - 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn a_few_products_are_popular_and_none_is_out_of_reach() {
        let mut random = SmallRng::seed_from_u64(1);
        let sampler = Sampler::new(Popularity::Zipf(0.99), 100);
        let mut counts = [0_u32; 100];
        for _ in 0..100_000 {
            counts[sampler.draw(&mut random)] += 1;
        }
        assert!(
            counts[0] > 15_000 && counts[0] > 8 * counts[9],
            "{counts:?}"
        );
        assert!(counts.iter().all(|count| *count > 50), "{counts:?}");
        let one = Sampler::new(Popularity::Zipf(0.99), 1);
        assert_eq!(0, one.draw(&mut random));
    }

    #[test]
    fn popularity_is_read_as_it_is_written() {
        for text in ["uniform", "zipf:0.99", "zipf:2"] {
            assert_eq!(text, text.parse::<Popularity>().unwrap().to_string());
        }
        assert!("zipf:11".parse::<Popularity>().is_err());
        assert!("pareto".parse::<Popularity>().is_err());
    }
}
