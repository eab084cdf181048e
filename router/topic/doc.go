// Package topic knows topic filters and topic names: validation, the subscription index, the retained messages.
//
// Owner: the goroutine that owns the broker's state; nothing here is safe for concurrent use. No clock, no
// goroutine. Randomness is a hash seed only, and no result or order depends on it.
// Imports: nothing of ours.
// Start with: Index (which subscribers match this topic), Retained (which messages match this filter) and its
// Cursor (a walk that can be interrupted), ValidateFilter and ValidateTopic.
//
// Both trees are made of the same nodes (names.go): a node is one topic level below its parent, 64 bytes in an
// arena, named by a uint32; in the Index a filter without wildcards is a single node, as if it were one level. A
// child is found in one hash table keyed by parent and level (table.go), so that a node with a million children costs
// what a node with one does, and no step of growth moves more than 4 KiB.
//
// Caveats: what Match returns dies with the next call of any method. Validation does not look at UTF-8 or at the
// number of bytes and levels; the codec and the owner do. A tree holds at most 33 million nodes and panics
// beyond; the owner's limits stay well below.
package topic
