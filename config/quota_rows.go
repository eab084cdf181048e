package config

import "github.com/loopmq/loopmq/broker"

// Quota bounds what some clients may do in a second, and hold.
type Quota struct {
	Users, Roles, Clients, Listeners []string // empty: all
	broker.Quota
}

func (q *Quota) rows() []*row {
	b := &q.Quota
	return []*row{
		listRow(&q.Users, KindTextList, "users", nil, Live, "Whose clients it is for; with none here and in roles it is for everybody."),
		listRow(&q.Roles, KindTextList, "roles", nil, Live, "For clients of users that have one of these roles; lines role NAME = USER, USER of the file of auth.acl_file give them."),
		listRow(&q.Clients, KindTextList, "clients", nil, Live, "For clients whose identifier is one of these, with * for any run of characters and ? for one; none is all."),
		listRow(&q.Listeners, KindTextList, "listeners", nil, Live, "For clients of which listeners, by name; none is all."),
		integerRow(&b.MessagesIn, "messages_in", 0, Live, "Messages taken from a client in a second; it is not read from while it is faster. 0 is no bound, here and below."),
		sizeRow(&b.BytesIn, "bytes_in", 0, Live, "Bytes of messages taken from a client in a second.").between(0, 0),
		integerRow(&b.MessagesOut, "messages_out", 0, Live, "Messages sent to a client in a second; more wait, of QoS 0 the latest."),
		sizeRow(&b.BytesOut, "bytes_out", 0, Live, "Bytes of messages sent to a client in a second.").between(0, 0),
		integerRow(&b.Connections, "connections", 0, Live, "Connections of a user at a time; more are refused."),
		integerRow(&b.Retained, "retained", 0, Live, "Topics with a retained message that a user's clients have published."),
		integerRow(&b.Subscriptions, "subscriptions", 0, Live, "Filters of a session."),
		sizeRow(&b.QueuedBytes, "queued_bytes", 0, Live, "Bytes that wait for a session.").between(0, 0),
	}
}
