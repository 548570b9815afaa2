//! The code that the design promises users can write, as they would write it.

use std::cell::RefCell;
use std::io::{self, Read, Write};
use std::rc::Rc;

use stackio::net::{TcpListener, TcpStream};
use stackio::{
    Error, Future, Protocol, Queue, Result, Runner, Transport, VirtualClock, get_running_loop,
    millis, run, secs, sleep, spawn, task_group, timeout,
};

fn count(n: u32) -> Result<u32> {
    sleep(millis(1))?;
    Ok(n)
}

#[test]
fn two_tasks_are_joined() {
    let sum = run(|| {
        let a = spawn(|| count(1));
        let b = spawn(|| count(2));
        Ok(a.join()? + b.join()?)
    });
    assert_eq!(sum.unwrap(), 3);
}

fn echo(mut s: TcpStream) -> io::Result<()> {
    let mut buf = [0; 4096];
    loop {
        match s.read(&mut buf)? {
            0 => return Ok(()),
            n => s.write_all(&buf[..n])?,
        }
    }
}

fn serve(listener: TcpListener) -> Result {
    loop {
        let (s, _) = listener.accept()?;
        spawn(move || Ok(echo(s)?));
    }
}

#[test]
fn an_echo_server_reads_like_blocking_code() {
    run(|| {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let server = spawn(move || serve(listener));
        let mut client = TcpStream::connect(address)?;
        client.write_all(b"hello")?;
        client.shutdown(std::net::Shutdown::Write)?;
        let mut answer = String::new();
        client.read_to_string(&mut answer)?;
        assert_eq!(answer, "hello");
        server.cancel();
        Ok(())
    })
    .unwrap();
}

type Url = u32;
type Page = Vec<Url>;

fn get(url: &Url) -> Result<Page> {
    match url {
        0 => Ok(vec![1, 2, 3]),
        1 => Ok(vec![4]),
        2 => {
            sleep(secs(60))?;
            Ok(vec![])
        }
        3 => Err(Error::from(io::Error::other("no such page"))),
        _ => Ok(vec![]),
    }
}

fn links(page: &Page) -> Vec<Url> {
    page.clone()
}

fn worker(todo: &Queue<Url>, pages: &RefCell<Vec<Page>>) -> Result {
    loop {
        let url = todo.get()?;
        match timeout(secs(5), |_| get(&url)) {
            Ok(page) => {
                for link in links(&page) {
                    todo.put(link)?
                }
                pages.borrow_mut().push(page)
            }
            Err(e) if e.is_cancelled() => return Err(e),
            Err(e) => eprintln!("{url}: {e}"),
        }
        todo.task_done()?;
    }
}

#[test]
fn workers_share_a_queue_and_give_up_on_a_slow_page() {
    let clock = VirtualClock::new();
    let mut runner = Runner::builder().virtual_clock(&clock).build().unwrap();
    let pages = runner.run(|| {
        let (todo, pages) = (Rc::new(Queue::new(0)), Rc::new(RefCell::new(Vec::new())));
        todo.put(0)?;
        let workers: Vec<_> = (0..2)
            .map(|_| {
                let (todo, pages) = (todo.clone(), pages.clone());
                spawn(move || worker(&todo, &pages))
            })
            .collect();
        todo.join()?;
        for w in &workers {
            w.cancel();
        }
        Ok(pages.take())
    });
    assert_eq!(pages.unwrap(), [vec![1, 2, 3], vec![4], vec![]]);
    assert_eq!(clock.now().as_millis(), 5_000);
}

#[test]
fn children_of_a_task_group_borrow_what_is_around_it() {
    let clock = VirtualClock::new();
    let mut runner = Runner::builder().virtual_clock(&clock).build().unwrap();
    let pages = runner.run(|| {
        let todo: Queue<Url> = Queue::new(0);
        let pages = RefCell::new(Vec::new());
        todo.put(0)?;
        task_group(|g| {
            let workers: Vec<_> = (0..8).map(|_| g.spawn(|| worker(&todo, &pages))).collect();
            todo.join()?;
            for w in &workers {
                w.cancel();
            }
            Ok(())
        })?;
        Ok(pages.into_inner())
    });
    assert_eq!(pages.unwrap(), [vec![1, 2, 3], vec![4], vec![]]);
}

#[derive(Default)]
struct Echo {
    transport: Option<Transport>,
}

impl Echo {
    fn transport(&self) -> &Transport {
        self.transport.as_ref().expect("the connection is made")
    }
}

#[rustfmt::skip]
impl Protocol for Echo {
    fn connection_made(&mut self, t: &Transport) { self.transport = Some(t.clone()) }
    fn data_received(&mut self, data: &[u8]) { self.transport().write(data) }
}

struct Hears(Vec<u8>, Future<Vec<u8>>);

impl Protocol for Hears {
    fn data_received(&mut self, data: &[u8]) {
        self.0.extend_from_slice(data);
    }

    fn connection_lost(&mut self, _: Option<Error>) {
        let _ = self.1.set_result(std::mem::take(&mut self.0));
    }
}

#[test]
fn an_echo_protocol_is_two_lines() {
    run(|| {
        let event_loop = get_running_loop()?;
        let server = event_loop.create_server(Echo::default, "127.0.0.1:0")?;
        let heard = Future::new();
        let hears = Hears(Vec::new(), heard.clone());
        let (transport, _) = event_loop.create_connection(|| hears, server.local_addrs()[0])?;
        transport.write(b"hello");
        transport.write_eof();
        assert_eq!(heard.wait()?, b"hello");
        Ok(())
    })
    .unwrap();
}
