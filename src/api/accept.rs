//! `Accept`: which of the representations that there are a client likes best.

use hyper::header::{ACCEPT, HeaderMap};

/// The best of `offers`, media types in lower case, the first of which is the default: taken where a client says nothing, where it
/// likes none, and before others that it likes as much.
pub fn preferred<'a>(headers: &HeaderMap, offers: &[&'a str]) -> &'a str {
    let mut best = (offers[0], quality(headers, offers[0]));
    for offer in &offers[1..] {
        let quality = quality(headers, offer);
        if quality > best.1 {
            best = (offer, quality);
        }
    }
    best.0
}

/// How much a client likes `offer`, in thousandths: by the range that matches it most closely.
fn quality(headers: &HeaderMap, offer: &str) -> u32 {
    let lines = headers.get_all(ACCEPT).iter();
    let ranges = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','));
    let matching = ranges.filter_map(|range| {
        let mut parts = range.split(';').map(str::trim);
        let closeness = closeness(parts.next()?, offer)?;
        Some((closeness, weight(parts)))
    });
    matching.max().map_or(0, |(_, weight)| weight)
}

/// None if `range` does not cover `offer`.
fn closeness(range: &str, offer: &str) -> Option<u32> {
    let kind = offer.split('/').next().unwrap_or_default();
    match range.split_once('/')? {
        ("*", "*") => Some(0),
        (range_kind, "*") if range_kind.eq_ignore_ascii_case(kind) => Some(1),
        _ if range.eq_ignore_ascii_case(offer) => Some(2),
        _ => None,
    }
}

/// The parameter `q` in thousandths; 1 where there is none, or none that can be read.
fn weight<'a>(mut parameters: impl Iterator<Item = &'a str>) -> u32 {
    let value = parameters.find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("q").then_some(value)
    });
    let weight = value.and_then(|value| value.trim().parse::<f32>().ok());
    let weight = weight.filter(|weight| (0.0..=1.0).contains(weight));
    (weight.unwrap_or(1.0) * 1000.0) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    #[test]
    fn the_best_liked_is_chosen_and_else_the_default() {
        let check = |lines: &[&str], expected: &str| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(ACCEPT, HeaderValue::from_str(line).unwrap());
            }
            let offers = ["application/json", "text/html", "text/plain"];
            assert_eq!(preferred(&headers, &offers), expected, "{lines:?}");
        };
        let (json, html, plain) = ("application/json", "text/html", "text/plain");
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8";
        check(&[], json);
        check(&["*/*"], json);
        check(&["application/problem+json"], json);
        check(&["image/png"], json);
        check(&[browser], html);
        check(&["text/html"], html);
        check(&["Text/HTML ; q=0.5"], html);
        check(&["text/*"], html);
        check(&["text/*, text/html;q=0.1"], plain);
        check(&["text/plain"], plain);
        check(&["text/plain, text/html;q=0.9"], plain);
        check(&["application/json, text/html"], json);
        check(&["application/json;q=0.1", "text/html;q=0.2"], html);
        check(&["application/json;q=0, */*;q=0.1"], html);
        check(&["text/html;q=0"], json);
        check(&["text/html;q=nonsense"], html);
        check(&["text/html;q=NaN, application/json"], json);
        check(&[",;,/,text"], json);
    }
}
