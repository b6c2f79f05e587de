//! Numbers and sentences as a reader wants them: sensible units, lines of a bounded length. The table, the plots, the
//! page and the comparison all say a figure in the same way.

use super::Setup;

/// What stands where a figure is not known or is no number.
pub const UNKNOWN: &str = "-";

/// A time given in microseconds: `412 us`, `3.1 ms`, `1.20 s`.
pub fn microseconds(us: f64) -> String {
    if !us.is_finite() || us < 0.0 {
        return UNKNOWN.into();
    }
    match us {
        us if us < 99.5 && us.fract() != 0.0 => format!("{us:.1} us"),
        us if us < 999.5 => format!("{us:.0} us"),
        us if us < 9_995.0 => format!("{:.2} ms", us / 1e3),
        us if us < 99_950.0 => format!("{:.1} ms", us / 1e3),
        us if us < 999_500.0 => format!("{:.0} ms", us / 1e3),
        us if us < 99_950_000.0 => format!("{:.2} s", us / 1e6),
        us if us < 1e12 => format!("{:.0} s", us / 1e6),
        us => format!("{:.1e} s", us / 1e6),
    }
}

/// A number in three or four digits: `7.2`, `412`, `61.2 k`, `1.52 M`.
pub fn count(number: f64) -> String {
    if !number.is_finite() {
        return UNKNOWN.into();
    }
    match number.abs() {
        size if size < 0.95 && number != 0.0 => small(number),
        size if size < 99.95 && number.fract() != 0.0 => format!("{number:.1}"),
        size if size < 9_999.5 => format!("{number:.0}"),
        size if size < 99_950.0 => format!("{:.1} k", number / 1e3),
        size if size < 999_500.0 => format!("{:.0} k", number / 1e3),
        size if size < 99_950_000.0 => format!("{:.2} M", number / 1e6),
        size if size < 999_500_000.0 => format!("{:.0} M", number / 1e6),
        size if size < 1e12 => format!("{:.2} G", number / 1e9),
        _ => format!("{number:.1e}"),
    }
}

/// Less than one, in at most three digits after the point.
fn small(number: f64) -> String {
    let digits = format!("{number:.3}");
    let digits = digits.trim_end_matches('0').trim_end_matches('.');
    if digits == "-0" {
        "0".into()
    } else {
        digits.to_owned()
    }
}

/// So many a second: `61.2 k/s`.
pub fn rate(per_second: f64) -> String {
    match count(per_second) {
        unknown if unknown == UNKNOWN => unknown,
        number => format!("{number}/s"),
    }
}

/// An amount of memory: `512 B`, `182 MiB`, `1.21 GiB`.
pub fn bytes(bytes: f64) -> String {
    const KIB: f64 = 1024.0;
    const MIB: f64 = 1024.0 * KIB;
    const GIB: f64 = 1024.0 * MIB;
    if !bytes.is_finite() || bytes < 0.0 {
        return UNKNOWN.into();
    }
    match bytes {
        bytes if bytes < KIB => format!("{bytes:.0} B"),
        bytes if bytes < MIB => format!("{:.0} KiB", bytes / KIB),
        bytes if bytes < 10.0 * MIB => format!("{:.1} MiB", bytes / MIB),
        bytes if bytes < GIB => format!("{:.0} MiB", bytes / MIB),
        bytes => format!("{:.2} GiB", bytes / GIB),
    }
}

/// A share from 0 to 1: `93 %`.
pub fn percent(share: f64) -> String {
    if !share.is_finite() {
        return UNKNOWN.into();
    }
    format!("{:.0} %", share * 100.0)
}

/// A quantile as its percentile: `50 %`, `99.9 %`.
pub fn percentile(quantile: f64) -> String {
    let digits = format!("{:.6}", quantile * 100.0);
    let digits = digits.trim_end_matches('0').trim_end_matches('.');
    format!("{digits} %")
}

/// A whole number with its thousands apart: `183,211`.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 product`, `2 products`.
pub fn plural(number: u64, one: &str, many: &str) -> String {
    let noun = if number == 1 { one } else { many };
    format!("{} {noun}", thousands(number))
}

/// `no followers`, `50 followers by poll`.
pub fn followers(setup: &Setup) -> String {
    let count = setup.followers as u64;
    match count {
        0 => "no followers".into(),
        _ => format!(
            "{} by {}",
            plural(count, "follower", "followers"),
            setup.followed_by
        ),
    }
}

/// `text` as it is written in HTML and SVG, in an attribute too. Characters that XML forbids are left out.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' | '\t' => escaped.push(letter),
            letter if letter.is_control() => {}
            letter => escaped.push(letter),
        }
    }
    escaped
}

/// `text` in lines of at most `width` characters, each after the first indented by `indent` spaces; each ends with a
/// line feed. A word that is longer than a line is cut into several. Control characters, which a terminal would obey,
/// are left out.
pub fn wrap(text: &str, width: usize, indent: usize) -> String {
    let mut lines = String::with_capacity(text.len() + 16);
    let (mut used, mut is_line_empty) = (0, true);
    for word in text.split_whitespace() {
        let letters: Vec<char> = word.chars().filter(|letter| !letter.is_control()).collect();
        for piece in letters.chunks(width.saturating_sub(indent).max(1)) {
            if !is_line_empty && used + 1 + piece.len() > width {
                lines.push('\n');
                lines.extend(std::iter::repeat_n(' ', indent));
                (used, is_line_empty) = (indent, true);
            }
            if !is_line_empty {
                lines.push(' ');
                used += 1;
            }
            lines.extend(piece);
            used += piece.len();
            is_line_empty = false;
        }
    }
    lines.push('\n');
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_the_unit_that_suits_them() {
        let said: Vec<String> = [
            0.0,
            12.34,
            412.0,
            999.6,
            3_140.0,
            31_400.0,
            314_000.0,
            1_200_000.0,
            120e6,
        ]
        .map(microseconds)
        .into();
        let expected = [
            "0 us", "12.3 us", "412 us", "1.00 ms", "3.14 ms", "31.4 ms", "314 ms", "1.20 s",
            "120 s",
        ];
        assert_eq!(said, expected);
        assert_eq!(microseconds(f64::NAN), UNKNOWN);
        assert_eq!(microseconds(f64::INFINITY), UNKNOWN);
    }

    #[test]
    fn rates_and_memory_have_the_unit_that_suits_them() {
        let said: Vec<String> = [0.0, 7.24, 412.0, 61_234.0, 612_340.0, 1_523_400.0]
            .map(rate)
            .into();
        assert_eq!(
            said,
            ["0/s", "7.2/s", "412/s", "61.2 k/s", "612 k/s", "1.52 M/s"]
        );
        assert_eq!(rate(f64::NAN), UNKNOWN);
        let said: Vec<String> = [0.25, 0.02, -0.5, 0.000_01, -0.000_01].map(count).into();
        assert_eq!(said, ["0.25", "0.02", "-0.5", "0", "0"]);
        let said: Vec<String> = [0.0, 2048.0, 3.5e6, 190.9e6, 2.2e9].map(bytes).into();
        assert_eq!(said, ["0 B", "2 KiB", "3.3 MiB", "182 MiB", "2.05 GiB"]);
    }

    #[test]
    fn percentiles_end_with_their_last_digit() {
        let said: Vec<String> = [0.0, 0.5, 0.9, 0.999, 0.99999].map(percentile).into();
        assert_eq!(said, ["0 %", "50 %", "90 %", "99.9 %", "99.999 %"]);
    }

    #[test]
    fn thousands_stand_apart() {
        let said: Vec<String> = [0, 999, 1_000, 183_211, 1_000_000].map(thousands).into();
        assert_eq!(said, ["0", "999", "1,000", "183,211", "1,000,000"]);
    }

    #[test]
    fn lines_are_not_longer_than_they_may_be() {
        let text = format!("one two {} three", "x".repeat(30));
        let wrapped = wrap(&text, 12, 2);
        assert!(
            wrapped.lines().all(|line| line.chars().count() <= 12),
            "{wrapped}"
        );
        assert!(
            wrapped.lines().skip(1).all(|line| line.starts_with("  ")),
            "{wrapped}"
        );
        assert!(wrapped.starts_with("one two\n"), "{wrapped}");
        assert_eq!(wrapped.matches('x').count(), 30);
        assert_eq!(
            wrap("a  word\nas long as the indent", 100, 1),
            "a word as long as the indent\n"
        );
    }

    #[test]
    fn nothing_is_left_that_markup_would_obey() {
        assert_eq!(
            escape("<a b=\"c\" d='e'>&\u{0}\u{1b}"),
            "&lt;a b=&quot;c&quot; d=&#39;e&#39;&gt;&amp;"
        );
        assert_eq!(escape("zwei\nZeilen, größer"), "zwei\nZeilen, größer");
    }

    #[test]
    fn nothing_that_a_terminal_obeys_is_printed() {
        assert_eq!(wrap("a \u{1b}[31mred\u{7} b", 40, 0), "a [31mred b\n");
    }
}
