// Package sim runs the router against made-up clients, a made-up network, a
// made-up disk and a made-up clock, and holds everything the router sends against
// a model of what the standard wants. One seed is one run, to the byte.
//
// Owner: one goroutine. Nothing here starts a goroutine, opens a socket, sleeps
// or reads the clock; randomness comes from the seed. In package tidy's words,
// it is pure.
//
// Imports: router, internal/buf, store for its Mem. Not codec: the encoder and decoder of wire.go
// are our own, so that codec's mistakes are not made twice.
//
// Start with: World (clock, event queue, the pass), conn (one connection: the
// router's seam on one side, a pipe with faults on the other), client (what a
// device does), model and ledger (who must receive what), Draw and Run (one seed),
// Shrink (a failing run made small).
//
// # Two models
//
// The model (model*.go, settle.go, limbo.go) stands at the router's seam and knows
// after each call what must have been sent, and what must wait: it hears of each
// packet when the router is given it, and of each packet that the router sends
// when it is sent. So it needs no guess about what was on the way when something
// was cut off. Where the standard or the router's documentation leaves a choice
// (which member of a group, in which order retained messages come), the model
// watches what was chosen and checks that it was one of the choices. It judges
// these plans, of which a seed draws one each:
//
//   - Draw: nothing is kept. All clients, legal and illegal; takeovers-max (who
//     waits, until when, and that a duel is reported), slow-timeout and ack-timeout
//     (who is closed or reported: not before its time, and at most two looks of the
//     router's later), late QoS 0 messages, with shared subscriptions too.
//   - DrawDurable: with a store and restarts, queues behind windows of a few
//     messages. Each call of the router is a pass of its own, whose commits and
//     reads are complete before the model judges what was sent.
//   - DrawClassed: likewise, with classes of durability and without restarts: the
//     model wants classes to make no difference.
//
// In some runs of all plans clients send packets that are done in pieces (long.go), and
// something comes between these: a cut, a takeover, as long a packet, a loss of power,
// a failing disk. The model wants all filters checked before the first is entered,
// nothing read from the client meanwhile, and the answer with the last.
//
// The ledger (ledger*.go) judges DrawDisk: a store that takes its time (disk.go),
// with classes or without. Commits and reads end some passes later, reads in
// another order, with anything in between; the disk is full for a while, for all or
// for all but removals; it fails for good; reads fail for a while, or find damage;
// the power is cut with the batch on its way lost or kept, and after a failed
// commit too; some restarts are in good order; the broker is away for up to 100 s.
// The ledger knows nothing of batches. It holds what docs/durability.md promises
// to who looks at the wire:
//
//   - what was acknowledged reaches every session that was subscribed for sure and
//     goes on, and a member of each shared subscription whose members all do;
//     until a message expires, and but for what the class lets a restart take;
//   - with QoS 2 once, where both sessions go on and the class is sync; never
//     after its expiry, nor behind what was published later, nor to who had no
//     subscription, nor with another topic, payload or property;
//   - with QoS 0, who is connected and takes what it is sent has it by the end of
//     the pass, also what came with more for who has subscribed with QoS 0; and in
//     one life of the router nobody is sent a message for the first time more often
//     than it was published;
//   - a will comes when its connection has ended and its delay is over, or the
//     session; not after DISCONNECT, nor once its client is back before; and surely
//     to who was subscribed all the while, and to a member of each shared subscription
//     whose members stayed the same, if it was on the disk or the power stayed;
//   - nobody has more in flight than its window, nor two messages with a PacketID,
//     nor a packet above its Maximum Packet Size;
//   - a message is missing only where the queue, or all together, can have been full, or a
//     connection took no packet so large, and if the router has counted a drop; a
//     session only where too many can have been away, and a retained value where the
//     limits can have left no room;
//   - a session is there if CONNACK said so and its expiry is not over, and is
//     not if CONNACK said that it had ended, or its time is over (eleven minutes
//     more when the power was cut);
//   - what nobody may send ends the connection that it came over;
//   - who takes a session over too often waits a second, and that is reported; nobody
//     else waits;
//   - answers come, in the order of what they are for, and nothing comes before
//     CONNACK;
//   - in the end a new subscriber finds of each topic the retained value that was
//     acknowledged last, or a later one; a will counts from when it is surely out;
//   - when everything has ended, the router and the store are empty.
//
// What was not acknowledged may be there or not. Which session a start has found,
// of those that may be there, is seen from its CONNACK: until then a client
// identifier has a set of them. Where more than one may be meant, nothing is
// wanted of it any more.
//
// # What is not modelled
//
// By the ledger: garbage and damaged packets, which DrawDisk switches off; when what is
// late with QoS 0 comes; a 3.1 client is not told whether there was a session: where
// that is not known otherwise, nothing is wanted of it; what is told of a session's end,
// or of its new expiry, while the disk is full or has failed (a power cut may undo both).
// That a message of a class below sync comes twice after a power cut is allowed. How
// often and in which order is not held for retained messages, nor for sessions that have
// had shared subscriptions. A queue is taken for full behind a message as soon as that
// many may have come, at any time through shared subscriptions. A client that has broken
// the rules once (there is one at most) and who comes with an identifier that is not its
// own are owed nothing with QoS 1 and 2; nor does anybody have to get what they publish
// with QoS 2.
//
// By the model: queued-total-max, since which of the sessions that a message is for come
// first is the router's affair.
//
// By neither: authentication and access control, quotas, rates, the memory limit,
// $SYS, listeners' limits, a reload, the import, clocks that are put back. How many
// filters a pass does of the packets that are done in pieces is taken from the router.
//
// No compatibility promise.
package sim
