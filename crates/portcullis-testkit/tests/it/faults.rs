//! What every suite has to show of itself: it passes a backend without fault, and each fault breaks the promise that it should.

/// The tests of the suite `$suite`, whose backend in memory is `$moved`, without fault as `$none`, with the table `$faults` of
/// faults and the promise that each breaks. `$unchecked` lists what cannot be checked on the operating system's clock with
/// `$real`.
macro_rules! suite_notices_faults {
    ($suite:ident, $moved:ident, $none:path, $faults:ident $(, $real:ident lacks $unchecked:expr)?) => {
        #[tokio::test]
        async fn a_backend_without_fault_keeps_every_promise() {
            for (promise, verdict) in $suite::report(&$moved::with($none)).await {
                assert_eq!(verdict, $suite::Verdict::Kept, "{promise:?}");
            }
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
        async fn a_backend_without_fault_keeps_every_promise_on_several_threads() {
            $suite::run(&$moved::with($none)).await;
        }

        $(
            #[tokio::test]
            async fn a_backend_on_the_real_clock_is_checked_by_waiting() {
                use $suite::Verdict;
                for (promise, verdict) in $suite::report(&$real::with($none)).await {
                    let expected = if $unchecked.contains(&promise) { Verdict::NotChecked } else { Verdict::Kept };
                    assert_eq!(verdict, expected, "{promise:?}");
                }
            }
        )?

        #[tokio::test]
        async fn each_fault_breaks_the_promise_that_it_should() {
            let mut unnoticed = Vec::new();
            for &(fault, promise) in $faults {
                let verdict = $suite::check(&$moved::with(fault), promise).await;
                if !matches!(verdict, $suite::Verdict::Broken(_)) {
                    unnoticed.push((fault, promise, verdict));
                }
            }
            assert!(unnoticed.is_empty(), "{unnoticed:#?}");
        }

        #[test]
        fn no_promise_is_without_a_fault_that_breaks_it() {
            let is_broken = |promise| $faults.iter().any(|(_, broken)| broken == promise);
            let unproven: Vec<_> = $suite::Promise::ALL.iter().filter(|promise| !is_broken(*promise)).collect();
            assert!(unproven.is_empty(), "{unproven:?}");
        }
    };
}
pub(crate) use suite_notices_faults;
