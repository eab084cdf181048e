// Package acl says who may do what: it reads access control files, Mosquitto's
// and ours in one format (docs/acl.md), and answers for one client at a time.
//
// Owner: the loop. Rules and the Subjects made of them share a cache without a
// lock, so one goroutine uses them. Nothing here reads a clock, blocks or
// starts anything. New rules are a new Rules; Subjects of the old ones go on
// answering by the old ones until their owner asks For again.
//
// Imports: router/topic, to judge filters by the rules that SUBSCRIBE has.
//
// Start with: Parse, Rules.For, Subject.
//
// Caveats: a nil *Rules and a nil *Subject allow everything: they stand for a
// broker without an access control file. An empty file denies everything.
//
// A retained message, and a will, may be looked at again later: For the client
// that wrote it, then Publish.
//
// No compatibility promise before v1.
package acl
