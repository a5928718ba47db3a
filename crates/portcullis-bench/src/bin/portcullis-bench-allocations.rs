//! Counts allocations for the benchmarks. A program of its own: its allocator takes longer than the one that is timed.

fn main() -> Result<(), portcullis_bench::Failure> {
    portcullis_bench::count(|work| allocation_counter::measure(work).count_total)
}
