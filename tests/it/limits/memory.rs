//! The suite over the store in process.

use proptest::prelude::*;
use weir::limit::memory::Memory;
use weir::limit::take::{Grant, Refused, Settlement, Standing, Take};
use weir::limit::window::Time;

use super::Store;
use super::random::{self, Clocks};

// === impl Memory ===

impl Store for Memory {
    async fn reserve(&self, id: u128, takes: &[Take], now: Time) -> Result<Grant, Refused> {
        Memory::reserve(self, id, takes, now)
    }

    async fn settle(&self, settlement: &Settlement, now: Time) -> Vec<u8> {
        Memory::settle(self, settlement, now).iter().map(|passed| passed.share).collect()
    }

    async fn peek(&self, takes: &[Take], now: Time) -> Vec<Standing> {
        Memory::peek(self, takes, now)
    }
}

behaviours!(async { Memory::new(10_000) });
behaviours!(beyond async { Memory::new(10_000) });

fn on_a_new_store(script: &[random::Step]) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(random::follow(&Memory::new(10_000), script));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_interleaving_is_as_if_added_up_by_hand(script in random::script(Clocks::Together)) {
        on_a_new_store(&script);
    }

    #[test]
    fn so_it_is_when_the_wall_clock_steps(script in random::script(Clocks::Apart)) {
        on_a_new_store(&script);
    }
}
