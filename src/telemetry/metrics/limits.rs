//! The families about limits. They are read when somebody asks: what decisions came to is counted beside the
//! counters, and how full those are nobody would know between two calls.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use crate::limit::Unit;
use crate::limit::memory::list::Total;
use crate::limit::tally::{Outcome, Tally};
use crate::telemetry::record::clip;

/// Most limits that are told apart; of more, those with the first ids. A tally is no longer kept beyond that either.
const LIMITS: usize = 1024;
/// Longest id of a limit in a label, in bytes: that of a namespace, a policy and a limit is shorter.
const NAME: usize = 512;

/// What is known of the limits of this process.
#[derive(Debug, Default)]
pub struct Seen {
    pub tallies: Vec<Arc<Tally>>,
    pub totals: Vec<Total>,
    /// Of each limit that replicas share what is used of it, in millionths, by the fullest key of the last minute.
    pub peaks: Vec<(Arc<Tally>, u32)>,
    /// Settlements that found no room for what they should have charged.
    pub uncounted: u64,
}

/// Where that is looked up. Until it is said, there are no limits. A clone shares it.
#[derive(Clone, Default)]
pub struct Limits(Arc<OnceLock<Look>>);

type Look = Box<dyn Fn() -> Seen + Send + Sync>;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Of {
    limit: String,
    unit: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Decision {
    limit: String,
    decision: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Leased {
    limit: String,
    result: &'static str,
}

/// The rows of one family: the labels of each, and what it counts.
type Rows<L, V> = Vec<(L, V)>;

// === impl Limits ===

impl Limits {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let limits = Limits::default();
        registry.register_collector(Box::new(limits.clone()));
        limits
    }

    /// Says where to look. It is said once; who says it again is not heard.
    pub fn watch(&self, look: impl Fn() -> Seen + Send + Sync + 'static) {
        let _ = self.0.set(Box::new(look));
    }
}

impl fmt::Debug for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Limits")
    }
}

impl Collector for Limits {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let seen = self.0.get().map(|look| look()).unwrap_or_default();
        // In order, for one page differs from the next by what has changed.
        let tallies: BTreeMap<&str, &Tally> = seen.tallies.iter().map(|tally| (&*tally.limit, &**tally)).collect();
        let tallies: Vec<&Tally> = tallies.into_values().take(LIMITS).collect();
        let totals = || seen.totals.iter().take(LIMITS);

        calls(&tallies, &mut encoder)?;

        let help = "What is used of a limit by the key that has used most of it; above 1 where calls came to more \
                    than was taken, absent where nothing is used. Of a limit that replicas share: of the keys that \
                    this process asked for within the last minute, at most 1, absent where it asked for none";
        let shares = shares(&seen).into_iter().take(LIMITS);
        let shares = shares.map(|((id, unit), share)| (Of { limit: clip(id, NAME).into_owned(), unit }, share));
        gauges(&mut encoder, "weir_limit_utilization_ratio", help, shares.collect())?;

        let keys = |total: &Total| (of(&total.limit.id, total.limit.unit), total.keys as f64);
        let help = "Keys by which something is used of a limit; absent where nothing is used, and of limits that \
                    replicas share, whose keys the store alone knows";
        gauges(&mut encoder, "weir_limit_keys", help, totals().map(keys).collect())?;

        let help = "Calls whose use of a limit could not be charged: there was no room for one more key";
        let mut family =
            encoder.encode_descriptor("weir_limit_uncounted_settlements", help, None, MetricType::Counter)?;
        family.encode_counter::<NoLabelSet, u64, u64>(&seen.uncounted, None)
    }
}

/// What calls made of limits, and took of them.
fn calls(tallies: &[&Tally], encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let decisions = tallies.iter().flat_map(|tally| {
        let limit = clip(&tally.limit, NAME).into_owned();
        let words = Outcome::ALL.into_iter();
        words.map(move |word| (Decision { limit: limit.clone(), decision: word.as_str() }, tally.calls(word)))
    });
    let help = "Calls that met a limit, once each, by what it made of them; counted when they are over";
    counters(encoder, "weir_limit_decisions", help, decisions.collect())?;

    let leases = tallies.iter().flat_map(|tally| {
        let limit = clip(&tally.limit, NAME).into_owned();
        let words = [("hit", tally.leased.load(Relaxed)), ("miss", tally.asked.load(Relaxed))];
        let is_leased = words.iter().any(|(_, count)| *count > 0);
        words
            .into_iter()
            .filter(move |_| is_leased)
            .map(move |(result, count)| (Leased { limit: limit.clone(), result }, count))
    });
    let help = "Calls that took of a limit with leases, by whether a slice that this process holds bore them \
                (hit) or the store was asked (miss)";
    counters(encoder, "weir_limit_leases", help, leases.collect())?;

    let asked = tallies.iter().map(|tally| (of(&tally.limit, tally.unit), tally.asks.load(Relaxed)));
    let help = "Times a limit's counter was asked; a call asks more than once where it waits, is counted first, or \
                takes more while it runs";
    counters(encoder, "weir_limit_asks", help, asked.collect())?;

    let warned = tallies.iter().map(|tally| (of(&tally.limit, tally.unit), tally.warned.load(Relaxed)));
    let help = "Times a share of warnAt was passed";
    counters(encoder, "weir_limit_warnings", help, warned.collect())?;

    let crowded = tallies.iter().map(|tally| (of(&tally.limit, tally.unit), tally.overflowed.load(Relaxed)));
    let help = "Times a key found no room and was counted together with all others of its limit that found none";
    counters(encoder, "weir_limit_overflows", help, crowded.collect())?;

    let held = |tally: &&Tally| {
        let parts = tally.reserved.load(Relaxed).max(0);
        (of(&tally.limit, tally.unit), parts as f64 / tally.unit.scale() as f64)
    };
    let help = "What calls that are not over have taken of a limit, in its unit";
    gauges(encoder, "weir_limit_reserved", help, tallies.iter().map(held).collect())
}

fn of(id: &str, unit: Unit) -> Of {
    Of { limit: clip(id, NAME).into_owned(), unit: unit.as_str() }
}

/// By id and unit what is used of each limit. One that was counted here until a reload may be in both lists.
fn shares(seen: &Seen) -> BTreeMap<(&str, &'static str), f64> {
    let here = seen.totals.iter().map(|total| (&*total.limit.id, total.limit.unit, total.utilisation as f64));
    let shared = seen.peaks.iter().map(|(tally, share)| (&*tally.limit, tally.unit, f64::from(*share)));
    let mut shares = BTreeMap::new();
    for (id, unit, millionths) in here.chain(shared) {
        let share: &mut f64 = shares.entry((id, unit.as_str())).or_default();
        *share = share.max(millionths / 1e6);
    }
    shares
}

fn counters<L: EncodeLabelSet>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    rows: Rows<L, u64>,
) -> fmt::Result {
    if rows.is_empty() {
        return Ok(());
    }
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (labels, count) in &rows {
        family.encode_family(labels)?.encode_counter::<NoLabelSet, u64, u64>(count, None)?;
    }
    Ok(())
}

fn gauges<L: EncodeLabelSet>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    rows: Rows<L, f64>,
) -> fmt::Result {
    if rows.is_empty() {
        return Ok(());
    }
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (labels, value) in &rows {
        family.encode_family(labels)?.encode_gauge(value)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::limit::memory::Memory;
    use crate::limit::take::{Fit, Posture, Refused, Settlement, Standing, Take};
    use crate::limit::tally::Tallies;
    use crate::limit::window::{Time, Window};
    use crate::limit::{Counting, Limit, Unit};
    use crate::telemetry::Metrics;

    const NOW: Time = Time { steady: 1_790_000_000_000_000_000, unix: 1_790_000_000 };

    fn limit(id: &str, unit: Unit, amount: u64) -> Arc<Limit> {
        Arc::new(Limit::new(id, unit, amount * unit.scale(), Window::Rolling(Duration::from_secs(60))))
    }

    fn take(limit: &Arc<Limit>, amount: u64, posture: Posture) -> Take {
        let key = format!("{}|x", limit.id).into();
        Take { limit: limit.clone(), key, ceiling: limit.amount, amount: amount * limit.unit.scale(), posture }
    }

    #[test]
    fn what_became_of_takes_and_how_full_limits_are() {
        let memory = Memory::new(2);
        let tallies = Tallies::default();
        let (tokens, calls) = (limit("fair-use/tpm", Unit::Tokens, 100), limit("fair-use/rpm", Unit::Requests, 2));
        let ask = |takes: &[Take]| {
            let decision = memory.reserve(1, takes, NOW);
            tallies.count(takes, &decision, || NOW);
            decision
        };
        let told = |limit: &Arc<Limit>, outcome| tallies.tell(&[(limit.clone(), outcome)]);
        let grant = ask(&[take(&tokens, 40, Posture::Enforce), take(&calls, 1, Posture::Enforce)]).unwrap();
        assert!(ask(&[take(&tokens, 61, Posture::Enforce)]).is_err());
        ask(&[take(&tokens, 61, Posture::Shadow)]).unwrap();
        ask(&[take(&calls, 2, Posture::Observe)]).unwrap();
        // There is room for two keys.
        let other = limit("other/rpm", Unit::Requests, 2);
        let crowded = [take(&other, 1, Posture::Enforce)];
        let mut grant_there = ask(&crowded).unwrap();
        assert!(grant_there.taken[0].key != crowded[0].key && tallies.overflowed(&other));
        memory.settle(&Settlement { grant: grant_there.clone(), amounts: vec![0] }, NOW);
        grant_there.taken[0].fit = Fit::Unchecked;
        tallies.count(&crowded, &Ok(grant_there), || NOW);
        Outcome::ALL.into_iter().chain([Outcome::Denied]).for_each(|outcome| told(&tokens, outcome));
        let metrics = Metrics::new();
        assert!(metrics.render().contains("\nweir_limit_uncounted_settlements_total 0\n"));
        let seen = {
            let totals = memory.totals(NOW);
            let all = tallies.all();
            move || Seen { tallies: all.clone(), totals: totals.clone(), uncounted: 3, ..Seen::default() }
        };
        metrics.limits.watch(seen);
        let text = metrics.render();
        for line in [
            "weir_limit_decisions_total{limit=\"fair-use/tpm\",decision=\"granted\"} 1",
            "weir_limit_decisions_total{limit=\"fair-use/tpm\",decision=\"denied\"} 2",
            "weir_limit_decisions_total{limit=\"fair-use/tpm\",decision=\"downgraded\"} 1",
            "weir_limit_decisions_total{limit=\"fair-use/tpm\",decision=\"cut\"} 1",
            "weir_limit_decisions_total{limit=\"fair-use/tpm\",decision=\"shadow_denied\"} 1",
            "weir_limit_overflows_total{limit=\"other/rpm\",unit=\"Requests\"} 1",
            "weir_limit_overflows_total{limit=\"fair-use/tpm\",unit=\"Tokens\"} 0",
            "weir_limit_decisions_total{limit=\"fair-use/tpm\",decision=\"observed\"} 1",
            "weir_limit_decisions_total{limit=\"fair-use/tpm\",decision=\"unchecked\"} 1",
            "weir_limit_decisions_total{limit=\"fair-use/rpm\",decision=\"granted\"} 0",
            "weir_limit_asks_total{limit=\"fair-use/tpm\",unit=\"Tokens\"} 3",
            "weir_limit_warnings_total{limit=\"fair-use/tpm\",unit=\"Tokens\"} 0",
            "weir_limit_reserved{limit=\"fair-use/tpm\",unit=\"Tokens\"} 40.0",
            "weir_limit_utilization_ratio{limit=\"fair-use/tpm\",unit=\"Tokens\"} 0.4",
            "weir_limit_utilization_ratio{limit=\"fair-use/rpm\",unit=\"Requests\"} 1.5",
            "weir_limit_keys{limit=\"fair-use/rpm\",unit=\"Requests\"} 1.0",
            "weir_limit_uncounted_settlements_total 3",
        ] {
            assert!(text.contains(&format!("\n{line}\n")), "{line} in\n{text}");
        }
        assert!(!text.contains("keys{limit=\"other/rpm\""), "{text}");
        let amounts = vec![0; 2];
        let settlement = Settlement { grant, amounts };
        settlement.grant.taken.iter().for_each(|taken| tallies.settled(&taken.limit, taken.amount));
        assert!(metrics.render().contains("\nweir_limit_reserved{limit=\"fair-use/tpm\",unit=\"Tokens\"} 0.0\n"));
    }

    #[test]
    fn how_full_a_limit_is_that_replicas_share_is_told_for_a_minute() {
        let tallies = Tallies::default();
        let of_fleet = |limit: Arc<Limit>| Limit { counting: Counting::Fleet { lease: 0 }, ..Limit::clone(&limit) };
        let shared = Arc::new(of_fleet(limit("p/shared", Unit::Usd, 8)));
        let takes = [take(&shared, 1, Posture::Enforce)];
        let standing = |left| Standing { ceiling: shared.amount, left, reset: Duration::ZERO };
        let known = [6, 2, 7].map(|left| standing(left * 1_000_000_000));
        for standing in known.into_iter().chain([Standing::UNKNOWN]) {
            tallies.count(&takes, &Err(Refused { take: 0, wait: None, standings: vec![standing] }), || NOW);
        }
        let told = |seconds: u64| {
            let now = Time { steady: NOW.steady + seconds * 1_000_000_000, ..NOW };
            let all = tallies.all();
            let peaks = all.iter().filter_map(|tally| Some((tally.clone(), tally.peak.highest(now)?))).collect();
            let metrics = Metrics::new();
            // Until a reload it was counted here.
            let memory = Memory::new(10);
            memory.reserve(1, &[take(&limit("p/shared", Unit::Usd, 8), 3, Posture::Enforce)], NOW).unwrap();
            let seen = Seen { tallies: all, totals: memory.totals(NOW), peaks, uncounted: 0 };
            let seen = std::sync::Mutex::new(seen);
            metrics.limits.watch(move || std::mem::take(&mut *seen.lock().unwrap()));
            metrics.render()
        };
        let text = told(59);
        let ratio = |value| format!("\nweir_limit_utilization_ratio{{limit=\"p/shared\",unit=\"USD\"}} {value}\n");
        assert!(text.contains(&ratio("0.75")) && text.matches("utilization_ratio{").count() == 1, "{text}");
        assert!(text.contains("\nweir_limit_asks_total{limit=\"p/shared\",unit=\"USD\"} 4\n"), "{text}");
        assert!(told(90).contains(&ratio("0.375")), "what is left of the time before");
    }

    #[test]
    fn the_series_are_bounded_whatever_is_configured() {
        let tallies = Tallies::default();
        let memory = Memory::new(10_000);
        for number in 0..3_000 {
            let limit = limit(&format!("{}/{number}", "p".repeat(1_000)), Unit::Requests, 5);
            let takes = [take(&limit, 1, Posture::Enforce)];
            tallies.count(&takes, &memory.reserve(number, &takes, NOW), || NOW);
        }
        let metrics = Metrics::new();
        let (all, totals) = (tallies.all(), memory.totals(NOW));
        let seen = move || Seen { tallies: all.clone(), totals: totals.clone(), ..Seen::default() };
        metrics.limits.watch(seen);
        let text = metrics.render();
        let of_limits = |line: &&str| line.starts_with("weir_limit_") && line.contains("{limit=");
        assert_eq!(text.lines().filter(of_limits).count(), LIMITS * (7 + 1 + 1 + 1 + 1 + 1 + 1));
        assert!(text.lines().all(|line| line.len() < NAME + 128));
    }

    #[test]
    fn a_limit_whose_unit_changes_begins_anew() {
        let tallies = Tallies::default();
        let memory = Memory::new(10);
        for unit in [Unit::Requests, Unit::Usd] {
            let takes = [take(&limit("p/l", unit, 5), 1, Posture::Enforce)];
            tallies.count(&takes, &memory.reserve(1, &takes, NOW), || NOW);
        }
        tallies.settled(&limit("p/l", Unit::Requests, 5), 1);
        let all = tallies.all();
        assert_eq!((all.len(), all[0].unit, all[0].reserved.load(Relaxed)), (1, Unit::Usd, 1_000_000_000));
    }
}
