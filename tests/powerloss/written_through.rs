//! Groups are written and synced in one operation: what was acknowledged is as safe.

use faulty_disk::Operation;

use crate::on_disk::{await_spare, lose_power, mount, server_in};
use crate::stock::Stock;

#[test]
fn what_was_written_through_survives_a_power_loss() {
    let disk = mount(1);
    let builder = server_in(disk.path())
        .env("MAX_EVENTS_IN_QUEUE", 100_000)
        .env("JOURNAL_WRITE_THROUGH", true);
    let server = builder.start();
    let mut stock = Stock::create(&server);
    await_spare(disk.path());
    let before = disk.count(Operation::SyncFile, "events.json");
    stock.fill_segments(2);
    stock.add(50);
    let synced = disk.count(Operation::SyncFile, "events.json") - before;
    assert!(synced > 50, "{synced} were synced as they were written");
    lose_power(&disk, server, 7);
    let server = builder.start();
    stock.assert_nothing_lost(&server);
    server.stop();
}
