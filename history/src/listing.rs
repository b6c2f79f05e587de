//! The final listing, against the initial state with the feed folded into it.

use std::collections::BTreeMap;

use crate::record::{History, State};
use crate::timeline::Timeline;
use crate::violation::{Report, Rule};

pub(crate) fn check(history: &History, timeline: &Timeline, report: &mut Report) {
    let mut folded: BTreeMap<&str, State> = timeline
        .chains()
        .map(|(product, chain)| (product, chain.last()))
        .filter(|(_, state)| state.quantity.is_some())
        .collect();
    for (product, listed) in &history.products {
        let expected = folded.remove(product.as_str());
        if expected != Some(*listed) {
            report.add(Rule::Listing, || {
                format!("{product} is listed as {listed:?}, and by the feed it is {expected:?}")
            });
        }
    }
    for (product, state) in folded {
        report.add(Rule::Listing, || {
            format!("{product} is not listed, and by the feed it is {state:?}")
        });
    }
}
