// Package store keeps the broker's state on disk: a log of records, committed
// in batches, each batch whole or not at all.
//
// Owner: the loop goroutine calls Put, Delete, Room, Seal, Read and Err of a
// Store; it is never made to wait. One writer goroutine commits what was
// sealed, one reader goroutine fetches values; both answer through
// Options.Post. Stats may be called by anyone.
// Imports: nothing of ours. It knows keys and bytes, nothing of MQTT.
// Start with: Store (the face), wal (the log on its segments), index (where
// each live record stands), recovery (what a start does). Mem and Disk are for
// tests: a store without a disk, and a disk whose power can be cut.
//
// The promise: once done(nil) was called, all records of that batch, and of all
// before it, are there after any power cut; of a batch not yet answered either
// all or none. docs/durability.md has the format and what the engine costs.
//
// Caveats: Read and Load see what is committed, not the open batch. A batch
// answered with ErrFull is kept and committed with the next that fits. After
// ErrFailed nothing is committed until the store is opened anew.
package store
