//! Who waits for whom: tasks drawn as a tree, with the calls on their stacks.
use std::rc::Rc;

use stackio::{Lock, Queue, Runner, VirtualClock, gather, graph, millis, sleep, spawn, yield_now};

fn consumer(queue: &Queue<u32>) -> stackio::Result<u32> {
    let item = queue.get()?;
    Ok(item)
}

fn main() -> stackio::Result {
    let clock = VirtualClock::new();
    let mut runner = Runner::builder().virtual_clock(&clock).build()?;
    runner.run(|| {
        let queue = Rc::new(Queue::new(0));
        let lock = Rc::new(Lock::new());
        let (q, l) = (queue.clone(), lock.clone());
        let a = spawn(move || consumer(&q));
        let holder = spawn(move || {
            let _g = l.lock()?;
            sleep(millis(5))
        });
        let l = lock.clone();
        let b = spawn(move || {
            yield_now()?;
            let _g = l.lock()?;
            Ok(1)
        });
        let g = spawn(move || gather((a, b)).wait());
        let gg = g.clone();
        let w = spawn(move || gg.wait());
        yield_now()?;
        yield_now()?;
        yield_now()?;
        println!("{}", graph::capture()?);
        queue.put(1)?;
        w.join()?;
        holder.join()
    })
}
