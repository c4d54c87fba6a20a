//! Words beside lines: how wide they are, how they are cut, how they keep out of each other's way.
//! It draws nothing.

/// The part of its size that a letter takes, in the widest of the fonts that may be used.
const LETTER: f64 = 0.6;

/// How wide a text will be, about.
pub(super) fn width(text: &str, size: f64) -> f64 {
    // Letters of East Asia are square.
    let letters = text.chars().map(|c| if c < '\u{2e80}' { LETTER } else { 1.0 });
    letters.sum::<f64>() * size
}

/// A text that fits into `room`, with a mark where something was cut off.
pub(super) fn truncate(text: &str, size: f64, room: f64) -> String {
    if width(text, size) <= room {
        return text.to_owned();
    }
    let mut short = String::new();
    for c in text.chars() {
        short.push(c);
        if width(&short, size) + LETTER * size > room {
            short.pop();
            break;
        }
    }
    short.trim_end().to_owned() + "…"
}

/// Moves `wanted` places as little as needed to be `gap` apart and between `low` and `high`; the
/// answer has the order of the question. When there is no room for all, they run over `high`.
pub(super) fn separate(wanted: &[f64], gap: f64, low: f64, high: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|&a, &b| wanted[a].total_cmp(&wanted[b]));
    // With the gaps taken out, places may be equal but must not fall: neighbours that would are
    // pooled at their mean, which is the nearest there is for all of them.
    let mut pools: Vec<(f64, f64)> = Vec::new();
    let mut before = 0.0;
    for &index in &order {
        pools.push((wanted[index] - before, 1.0));
        before += gap;
        while let [.., (first, one), (second, two)] = pools[..] {
            if first <= second {
                break;
            }
            pools.truncate(pools.len() - 2);
            pools.push(((first * one + second * two) / (one + two), one + two));
        }
    }
    let top = (high - (before - gap)).max(low);
    let mut places = vec![0.0; wanted.len()];
    let (mut at, mut index) = (0.0, 0);
    for (place, count) in pools {
        let mut left = count;
        while left > 0.5 {
            places[order[index]] = place.clamp(low, top) + at;
            at += gap;
            index += 1;
            left -= 1.0;
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_keep_apart_and_move_no_more_than_needed() {
        assert_eq!(separate(&[50.0, 10.0], 10.0, 0.0, 100.0), [50.0, 10.0]);
        assert_eq!(separate(&[50.0, 50.0], 10.0, 0.0, 100.0), [45.0, 55.0]);
        assert_eq!(separate(&[99.0, 99.0, 0.0], 10.0, 0.0, 100.0), [90.0, 100.0, 0.0]);
        assert!(separate(&[], 10.0, 0.0, 100.0).is_empty());
    }

    #[test]
    fn many_labels_keep_their_gaps() {
        let wanted: Vec<f64> = (0..40).map(|index| f64::from(index % 7)).collect();
        let mut places = separate(&wanted, 12.0, 5.0, 500.0);
        places.sort_by(f64::total_cmp);
        assert!(places.windows(2).all(|pair| pair[1] - pair[0] > 11.999), "{places:?}");
        assert!(places[0] >= 5.0 && places[39] <= 500.0, "{places:?}");
    }

    #[test]
    fn truncated_labels_have_an_ellipsis() {
        assert_eq!(truncate("mio", 10.0, 60.0), "mio");
        let cut = truncate("a name that is far too long", 10.0, 60.0);
        assert!(cut.ends_with('…') && width(&cut, 10.0) <= 60.0, "{cut}");
    }
}
