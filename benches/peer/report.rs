//! The command line, the clocks and the report.

use std::collections::HashMap;
use std::fs;
use std::time::Instant;

/// `WORKLOAD [--flag VALUE]...`
#[derive(Clone, Default)]
pub struct Args {
    pub workload: String,
    pub small: bool,
    pub flags: HashMap<String, usize>,
}

impl Args {
    pub fn parse() -> Args {
        let mut args = Args::default();
        let mut words = std::env::args().skip(1).filter(|word| word != "--bench");
        if let Some(workload) = words.next() {
            args.workload = workload;
        }
        while let (Some(flag), Some(value)) = (words.next(), words.next()) {
            if let Ok(value) = value.parse() {
                args.flags.insert(flag.trim_start_matches('-').to_owned(), value);
            }
        }
        args
    }

    /// A flag's value, or a default that `small` divides by a thousand.
    pub fn get(&self, flag: &str, default: usize) -> usize {
        let default = if self.small { default.div_ceil(1000) } else { default };
        self.flags.get(flag).copied().unwrap_or(default)
    }
}

/// Wall and CPU time since the start.
pub struct Clock {
    wall: Instant,
    cpu: f64,
}

impl Clock {
    pub fn start() -> Clock {
        Clock { wall: Instant::now(), cpu: cpu_ns() }
    }

    /// Nanoseconds of both.
    pub fn stop(&self) -> (f64, f64) {
        (self.wall.elapsed().as_nanos() as f64, cpu_ns() - self.cpu)
    }

    /// Prints the line for `n` operations.
    pub fn report(&self, args: &Args, n: usize, extra: &[(&str, f64)]) {
        let (wall, cpu) = self.stop();
        let extra: Vec<_> =
            extra.iter().map(|(key, value)| format!("\"{key}\":{value:.1}")).collect();
        println!(
            "{{\"peer\":\"stackio\",\"workload\":\"{}\",\"n\":{n},\"ns_per_op\":{:.2},\
             \"cpu_ns_per_op\":{:.2},\"extra\":{{{}}}}}",
            args.workload,
            wall / n as f64,
            cpu / n as f64,
            extra.join(","),
        );
    }
}

/// CPU time of the whole process, all threads, in nanoseconds.
fn cpu_ns() -> f64 {
    let schedstat = |path: std::path::PathBuf| -> Option<f64> {
        fs::read_to_string(path).ok()?.split(' ').next()?.parse().ok()
    };
    let Ok(threads) = fs::read_dir("/proc/self/task") else { return 0.0 };
    threads.flatten().filter_map(|task| schedstat(task.path().join("schedstat"))).sum()
}

/// Bytes of resident memory and of page tables.
pub fn memory() -> (f64, f64) {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key));
        let words = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
        words.unwrap_or(0.0) * 1024.0
    };
    (kib("VmRSS:"), kib("VmPTE:"))
}
