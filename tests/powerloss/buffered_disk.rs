//! The file system refuses direct I/O: the journal goes through the page cache, and is as durable.

use faulty_disk::Operation;

use crate::on_disk::{await_spare, lose_power, mount, server_in};
use crate::stock::Stock;

#[test]
fn a_disk_without_direct_io_is_written_through_the_page_cache_and_loses_nothing() {
    let disk = mount(1);
    disk.refuse_direct_io(true);
    let builder = server_in(disk.path()).env("MAX_EVENTS_IN_QUEUE", 100_000);
    let server = builder.start();
    assert!(
        server.stderr().contains("refuses direct I/O"),
        "{}",
        server.stderr()
    );
    let mut stock = Stock::create(&server);
    await_spare(disk.path());
    stock.fill_segments(2);
    stock.add(50);
    assert!(
        disk.count(Operation::SyncFile, "events") > 50,
        "each was synced"
    );
    lose_power(&disk, server, 7);
    let server = builder.start();
    stock.assert_nothing_lost(&server);
    server.stop();
}

#[test]
fn the_doctor_tells_how_the_disk_will_be_written() {
    let disk = mount(1);
    let said = server_in(disk.path()).run(&["doctor"]).succeeded();
    assert!(said.contains("ok       direct I/O"), "{said}");
    disk.refuse_direct_io(true);
    let said = server_in(disk.path()).run(&["doctor"]).succeeded();
    assert!(said.contains("advice   direct I/O"), "{said}");
    assert!(said.contains("p50 "), "{said}");
}
