//! The tasks with a scripted source and a clock that the test moves on.

use std::sync::atomic::Ordering;

use super::*;
use crate::base::secret::Secret;
use crate::credential::Grant;
use crate::credential::lease::{AGAIN, FIRST};
use crate::credential::refresh::MAX_PAUSE;
use crate::credential::source::Google;

mod script;

use self::script::*;

#[tokio::test]
async fn everybody_waits_for_one_fetch() {
    let script = Script::default();
    let give = script.will();
    let keeper = script.keeper();
    let mut credentials = credentials();
    keeper.adopt(&mut credentials);
    let leases: Vec<Arc<Lease>> = credentials.fetched().map(|fetched| fetched.lease.clone()).collect();
    assert!(Arc::ptr_eq(&leases[0], &leases[1]));
    let waiting: Vec<_> = (0..50)
        .map(|at| {
            tokio::spawn({
                let lease = leases[at % 2].clone();
                async move { lease.wait().await }
            })
        })
        .collect();
    tokio::task::yield_now().await;
    give.send(token("first", Some(3600))).unwrap();
    for one in waiting {
        assert_eq!(shown(one.await.unwrap()).as_deref(), Some("first"));
    }
    assert_eq!(shown(leases[0].wait().await).as_deref(), Some("first"), "it is there");
    assert_eq!(script.asked(), 1);
}

#[tokio::test]
async fn a_reload_keeps_what_was_fetched_and_forgets_what_nobody_names() {
    let script = Script::default();
    script.will().send(token("first", Some(3600))).unwrap();
    let keeper = script.keeper();
    let (mut before, mut after) = (credentials(), credentials());
    keeper.adopt(&mut before);
    let lease = lease_of(&mut before);
    assert_eq!(shown(lease.wait().await).as_deref(), Some("first"));
    keeper.adopt(&mut after);
    assert!(Arc::ptr_eq(&lease, &lease_of(&mut after)));
    assert_eq!(script.asked(), 1);
    // An exchange that began before still holds it; then nobody does, and its task ends.
    let gone = Arc::downgrade(&lease);
    drop((before, after, lease));
    while gone.strong_count() > 0 {
        tokio::task::yield_now().await;
    }
    keeper.adopt(&mut credentials());
    assert_eq!(keeper.leases.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn one_fault_refuses_nobody_and_many_refuse_at_once() {
    let (script, clock) = (Script::default(), Manual::new());
    for _ in 0..3 {
        script.will().send(fault()).unwrap();
    }
    let keeper = script.keeper();
    let mut credentials = timed(oauth("s"), &clock);
    keeper.adopt(&mut credentials);
    let lease = lease_of(&mut credentials);
    let first = call(&lease);
    settle().await;
    assert_eq!((script.asked(), first.is_finished()), (1, false), "the next one begins soon");
    clock.pass(1).await;
    assert_eq!(script.asked(), 2);
    // The second one fails too, and is left in peace for two seconds: nobody waits for that.
    assert_eq!(first.await.unwrap(), None);
    assert_eq!(call(&lease).await.unwrap(), None);
    assert_eq!(script.asked(), 2, "who is refused asks for nothing more");
    clock.pass(2).await;
    assert_eq!(script.asked(), 3);
    // The pause grows, whoever calls, and not above that of calls.
    let good = script.will();
    for _ in 0..10 {
        assert_eq!(call(&lease).await.unwrap(), None);
    }
    assert_eq!(script.asked(), 3);
    clock.pass(3).await;
    let waits = call(&lease);
    settle().await;
    clock.pass(1).await;
    assert_eq!((script.asked(), waits.is_finished()), (4, false), "it waits for the fetch that runs");
    good.send(hour("good", &clock)).unwrap();
    assert_eq!(waits.await.unwrap().as_deref(), Some("good"));
}

/// The pause after failures is up to a minute; a call that comes after a quiet time is no reason to wait for its end.
#[tokio::test]
async fn a_call_after_a_quiet_time_gets_a_fetch_of_its_own() {
    let (script, clock) = (Script::default(), Manual::new());
    (0..8).for_each(|_| script.will().send(fault()).unwrap());
    let keeper = script.keeper();
    let mut credentials = timed(oauth("s"), &clock);
    keeper.adopt(&mut credentials);
    let lease = lease_of(&mut credentials);
    settle().await;
    while script.asked() < 8 {
        clock.pass(1).await;
    }
    clock.pass(6).await;
    assert_eq!(script.asked(), 8, "it rests");
    script.will().send(hour("good", &clock)).unwrap();
    assert_eq!(call(&lease).await.unwrap().as_deref(), Some("good"));
}

#[tokio::test]
async fn an_endpoint_that_never_answers_holds_nobody_for_long() {
    let (script, clock) = (Script::default(), Manual::new());
    let keeper = script.keeper();
    let mut credentials = timed(oauth("s"), &clock);
    keeper.adopt(&mut credentials);
    let lease = lease_of(&mut credentials);
    let first = call(&lease);
    settle().await;
    clock.pass(FIRST.as_secs() - 1).await;
    assert!(!first.is_finished());
    clock.pass(1).await;
    assert_eq!(first.await.unwrap(), None);
    assert_eq!(script.asked(), 1, "one fetch at a time");
    clock.pass(LIMIT.as_secs()).await;
    assert_eq!(script.asked(), 2, "it was given up, and begun anew");
    let later = call(&lease);
    settle().await;
    clock.pass(AGAIN.as_secs()).await;
    assert_eq!(later.await.unwrap(), None);
    // A configuration that names it no more ends the task, in the middle of a fetch or not.
    let gone = Arc::downgrade(&lease);
    drop((credentials, lease));
    clock.pass(LIMIT.as_secs() + 1).await;
    assert_eq!(gone.strong_count(), 0);
}

#[tokio::test]
async fn a_token_is_renewed_before_it_ends_and_kept_while_that_fails() {
    let (script, clock) = (Script::default(), Manual::new());
    script.will().send(hour("a", &clock)).unwrap();
    let keeper = script.keeper();
    let mut credentials = timed(oauth("s"), &clock);
    keeper.adopt(&mut credentials);
    let lease = lease_of(&mut credentials);
    settle().await;
    clock.pass(3200).await;
    assert_eq!(script.asked(), 1);
    script.will().send(Ok(Issued { grant: Grant::Token(Secret::new("b")), until: Some(clock.unix() + 3700) })).unwrap();
    clock.pass(100).await;
    assert_eq!(script.asked(), 2, "with nobody who calls");
    assert_eq!(shown(lease.current(clock.unix())).as_deref(), Some("b"));
    // From now on the endpoint is down. The last good one is used until it ends, and by nobody after that.
    let end = clock.unix() + 3600;
    for _ in 0..1000 {
        script.will().send(fault()).unwrap();
    }
    clock.pass(3599).await;
    assert!((4..40).contains(&script.asked()), "it is not hammered: {}", script.asked());
    assert_eq!(call(&lease).await.unwrap().as_deref(), Some("b"));
    clock.pass(end - clock.unix()).await;
    let (before, since) = (script.asked(), clock.unix());
    for _ in 0..60 {
        assert_eq!(called(&lease, &clock).await, None);
        clock.pass(1).await;
    }
    let most = usize::try_from((clock.unix() - since) / PAUSE).unwrap() + 1;
    assert!(script.asked() - before <= most, "one in five seconds, whoever calls: {}", script.asked() - before);
    // It is up again.
    script.answers.lock().unwrap().clear();
    script.will().send(hour("c", &clock)).unwrap();
    let mut got = None;
    for _ in 0..=PAUSE {
        got = got.or(called(&lease, &clock).await);
        clock.pass(1).await;
    }
    assert_eq!(got.as_deref(), Some("c"));
    let metrics = keeper.metrics.render();
    assert!(metrics.contains("weir_credential_age_seconds{credential=\"OAuth/c\"} "), "{metrics}");
}

#[tokio::test]
async fn a_life_shorter_than_any_margin_is_used_and_renewed_once_in_a_pause() {
    let (script, clock) = (Script::default(), Manual::new());
    for text in ["a", "b", "c", "d"] {
        let grant = Grant::Token(Secret::new(text));
        script.will().send(Ok(Issued { grant, until: Some(clock.unix()) })).unwrap();
    }
    let keeper = script.keeper();
    let mut credentials = timed(oauth("s"), &clock);
    keeper.adopt(&mut credentials);
    let lease = lease_of(&mut credentials);
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.extend(call(&lease).await.unwrap());
        clock.pass(PAUSE - 1).await;
    }
    assert_eq!(seen, ["a", "b", "c", "d"]);
}

/// The wall's clock is set right by hours: when it is fetched does not follow it.
#[tokio::test]
async fn a_clock_that_steps_moves_no_renewal() {
    for (forward, step) in [(true, 7200), (false, 7200)] {
        let (script, clock) = (Script::default(), Manual::new());
        script.will().send(hour("a", &clock)).unwrap();
        let keeper = script.keeper();
        let mut credentials = timed(oauth("s"), &clock);
        keeper.adopt(&mut credentials);
        let lease = lease_of(&mut credentials);
        settle().await;
        clock.pass(10).await;
        let give = script.will();
        if forward {
            // By that clock it has ended. Whoever calls waits for another one.
            clock.wall.fetch_add(step, Ordering::Relaxed);
            let waits = call(&lease);
            settle().await;
            assert_eq!(script.asked(), 2);
            give.send(hour("b", &clock)).unwrap();
            assert_eq!(waits.await.unwrap().as_deref(), Some("b"));
        } else {
            clock.wall.fetch_sub(step, Ordering::Relaxed);
            give.send(hour("b", &clock)).unwrap();
            clock.pass(3300).await;
            assert_eq!(script.asked(), 2);
            assert_eq!(shown(lease.current(clock.unix())).as_deref(), Some("b"));
        }
    }
}

#[tokio::test]
async fn what_is_not_taken_is_fetched_again_unless_it_was_another() {
    let (script, clock) = (Script::default(), Manual::new());
    script.will().send(hour("a", &clock)).unwrap();
    let keeper = script.keeper();
    let mut credentials = timed(oauth("s"), &clock);
    keeper.adopt(&mut credentials);
    let lease = lease_of(&mut credentials);
    settle().await;
    clock.pass(100).await;
    let left = clock.unix();
    let give = script.will();
    keeper.rejected("OAuth/c", left);
    settle().await;
    assert_eq!(script.asked(), 2);
    // Others that left with it hear the same while it is fetched, and long after.
    keeper.rejected("OAuth/c", left);
    clock.pass(1).await;
    give.send(hour("b", &clock)).unwrap();
    settle().await;
    keeper.rejected("OAuth/c", left);
    keeper.rejected("OAuth/other", clock.unix());
    clock.pass(60).await;
    assert_eq!(script.asked(), 2);
    assert_eq!(shown(lease.current(clock.unix())).as_deref(), Some("b"));
    // The new one is not taken either. It stays until there is another.
    script.will().send(fault()).unwrap();
    script.will().send(hour("c", &clock)).unwrap();
    keeper.rejected("OAuth/c", clock.unix());
    settle().await;
    assert_eq!(script.asked(), 3);
    assert_eq!(shown(lease.current(clock.unix())).as_deref(), Some("b"));
    clock.pass(1).await;
    assert_eq!(shown(lease.current(clock.unix())).as_deref(), Some("c"));
    // A server that takes none of them does not make it fetch all the time.
    (0..100).for_each(|_| script.will().send(hour("d", &clock)).unwrap());
    for _ in 0..3 * MAX_PAUSE {
        keeper.rejected("OAuth/c", clock.unix());
        clock.pass(1).await;
    }
    assert!((6..16).contains(&script.asked()), "{}", script.asked());
}

#[tokio::test]
async fn a_new_secret_of_the_same_client_refuses_nobody() {
    let (script, clock) = (Script::default(), Manual::new());
    script.will().send(hour("old", &clock)).unwrap();
    let keeper = script.keeper();
    let mut before = timed(oauth("one"), &clock);
    keeper.adopt(&mut before);
    settle().await;
    clock.pass(10).await;
    let give = script.will();
    let mut after = timed(oauth("two"), &clock);
    keeper.adopt(&mut after);
    let lease = lease_of(&mut after);
    drop(before);
    settle().await;
    assert_eq!(script.asked(), 2, "what the new secret gives is fetched at once");
    assert_eq!(call(&lease).await.unwrap().as_deref(), Some("old"), "and nobody waits for it");
    give.send(hour("new", &clock)).unwrap();
    settle().await;
    assert_eq!(call(&lease).await.unwrap().as_deref(), Some("new"));
    // A secret that is wrong: what the good one gave is used to its end.
    (0..1000).for_each(|_| script.will().send(fault()).unwrap());
    let mut wrong = timed(oauth("three"), &clock);
    keeper.adopt(&mut wrong);
    let lease = lease_of(&mut wrong);
    clock.pass(3599).await;
    assert_eq!(call(&lease).await.unwrap().as_deref(), Some("new"));
    clock.pass(1).await;
    assert_eq!(called(&lease, &clock).await, None);
    // What was somebody else's is used by nobody.
    let mut other = timed(Source::Google(Google::Ambient), &clock);
    keeper.adopt(&mut other);
    assert_eq!(lease_of(&mut other).watch().borrow().held, None);
}

#[tokio::test]
async fn a_fault_is_counted() {
    let (script, clock) = (Script::default(), Manual::new());
    script.will().send(fault()).unwrap();
    let keeper = script.keeper();
    let mut credentials = timed(Source::Google(Google::Ambient), &clock);
    keeper.adopt(&mut credentials);
    settle().await;
    let metrics = keeper.metrics.render();
    assert!(metrics.contains("weir_credential_refresh_failures_total{credential=\"GCP/ambient\"} 1"), "{metrics}");
}

#[tokio::test]
async fn the_metrics_show_age_and_end() {
    let script = Script::default();
    script.will().send(token("secret-token", Some(3600))).unwrap();
    let keeper = script.keeper();
    let mut credentials = credentials();
    keeper.adopt(&mut credentials);
    assert!(lease_of(&mut credentials).wait().await.is_some());
    let metrics = keeper.metrics.render();
    let of = |family: &str| {
        let line = metrics.lines().find(|line| line.starts_with(&format!("{family}{{credential=\"GCP/ambient\"}} ")));
        line.and_then(|line| line.rsplit(' ').next()?.parse::<i64>().ok())
    };
    assert!(of("weir_credential_age_seconds").is_some_and(|age| (0..60).contains(&age)), "{metrics}");
    assert!(of("weir_credential_expires_seconds").is_some_and(|left| (3500..=3600).contains(&left)), "{metrics}");
    assert!(!metrics.contains("secret-token"));
}
