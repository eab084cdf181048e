package config

import (
	"strings"
	"time"

	"github.com/loopmq/loopmq/broker"
)

// rows is the table of all keys, bound to f.
func (f *File) rows() []*row {
	return []*row{
		listRow(&f.Include, KindPathList, "include", nil, Live,
			`More files, with wildcards: ["conf.d/*.toml"]. They are read in the order of their names after this one: a value that is set again replaces the one before, listeners are added. An included file includes none.`),
		choiceRow(&f.Engine, "engine", "", []string{"", "epoll", "evio"}, Restart,
			`The event loop; "" is the best one of the platform.`).flag("engine"),
		stateDirRow(&f.StateDir, "state_dir", Restart,
			`The directory that keeps sessions and messages over a restart. "auto" is the one that systemd gives a service with StateDirectory=; otherwise, for root, /var/lib/loopmq if it is there and can be written to; otherwise none. "none" or "" keeps all in memory only.`).flag("state-dir"),
		sizeRow(&f.StateSegmentBytes, "state_segment_bytes", 0, Restart,
			"The size of the files in the state directory, of which three are made at the first start, rounded up to 4 KiB; 0 chooses 16 MiB, or less on a file system below 1.5 GiB.").between(0, 1<<30).least(stateSegmentMin).flag("state-segment-bytes"),
		sizeRow(&f.StateBytesMax, "state_bytes_max", 0, Restart,
			"What the files of the state directory may take together; 0 leaves it to the file system. At three quarters of it no more messages are kept, and publishers are held up or told so.").between(0, 0).least(stateBytesMin).flag("state-bytes-max"),
		sizeRow(&f.StateBytesPerDayWarn, "state_bytes_per_day_warn", 0, Live,
			"How much may be written to the state directory in a day (UTC) before the log says so, once that day, with the topics and clients that caused most; 0 never does.").between(0, 0).flag("state-bytes-per-day-warn"),
		durationRow(&f.LazyInterval, "lazy_interval", time.Second, time.Millisecond, Live,
			"How long messages of class lazy, and news that nobody waits for, may stay in memory before they are written. A kilobyte is written as often as this in the quiet case.").flag("lazy-interval"),
		durationRow(&f.ShutdownTimeout, "shutdown_timeout", 5*time.Second, 0, Live,
			"How long clients get to read what is queued for them when the broker stops.").flag("shutdown-timeout"),
		textRow(&f.ServerReference, "server_reference", "", Live,
			"Another server, HOST:PORT, that MQTT 5.0 clients are told of when this one stops.").flag("server-reference"),
		booleanRow(&f.ServerMoved, "server_moved", false, Live,
			"The other server is for good.").flag("server-moved"),
		textRow(&f.ResponsePrefix, "response_prefix", "response/", Live,
			`What the topic begins with that an MQTT 5.0 client is given for responses; "-" gives none.`, topicPrefix).flag("response-prefix"),
		booleanRow(&f.ValidatePayloads, "validate_payloads", false, Live,
			"Refuse payloads that are said to be UTF-8 and are not (MQTT 5.0).").flag("validate-payloads"),
		choiceRow(&f.QueueFull, "queue_full", broker.QueueFulls()[0], broker.QueueFulls(), Live,
			`What is done when more waits for a session than limits.queued_messages_max or queued_bytes_max, or for all with queued_total_max, or with QoS 0 than late_bytes_max, or when its backlog is cut because of limits.memory_limit: "drop-oldest" drops what has waited longest, "drop-newest" what came last (its publisher is not told), "disconnect" disconnects the client, in 5.0 with 0x97; absent clients lose the oldest then, QoS 0 does, and at queued_total_max everybody. What only the disk holds goes oldest first with each of them: memory knows it as a row to be read from its beginning.`).flag("queue-full"),
		durationRow(&f.SysInterval, "sys_interval", 10*time.Second, time.Millisecond, Live,
			"How often the topics below $SYS are renewed, while somebody is subscribed to them.").flag("sys-interval"),
		tableRow("log", f.Log.rows(), "Where the log goes, and how much of it."),
		tablesRow(&f.Listeners, "listener", (*Listener).rows,
			"An address that clients connect to; once for each. With none at all the broker serves the loopback addresses on port 1883."),
		tableRow("limits", limitRows(&f.Limits),
			"Bounds of what clients can make the broker hold."),
		tableRow("auth", f.Auth.rows(), "Who may connect, and do what."),
		tablesRow(&f.Quotas, "quota", (*Quota).rows,
			"How much some clients may do; where several hold for a client the tightest counts."),
		tablesRow(&f.Durability, "durability", (*Durability).rows,
			"How sure to be of the messages of some topics when there is a state directory; the first whose filter matches counts, and sync where none does."),
	}
}

func (l *Log) rows() []*row {
	return []*row{
		choiceRow(&l.Level, "level", "info", []string{"debug", "info", "warn", "error"}, Live,
			"What is written: this and all that weighs more.").flag("log-level"),
		choiceRow(&l.Format, "format", "auto", []string{"auto", "text", "logfmt", "json"}, Restart,
			`How a line looks; "auto" is text on a terminal and logfmt otherwise.`).flag("log-format"),
		textRow(&l.To, "to", "stderr", Restart,
			`Where it goes: "stderr", "syslog", "journal", or the path of a file, with a slash in it.`, logTarget).flag("log"),
	}
}

// limitRow is one key of [limits], made from the broker's table. The least value
// is 1, of times in milliseconds, or 0 where that means something.
func limitRow(to *broker.Limits, l broker.LimitRow, def any, least int, doc string) *row {
	name := strings.ReplaceAll(l.Name, "-", "_")
	switch at := l.Field(to).(type) {
	case *time.Duration:
		return durationRow(at, name, *def.(*time.Duration), time.Duration(least)*time.Millisecond, Live, doc)
	case *int:
		if l.IsSize() {
			return sizeRow(at, name, *def.(*int), Live, doc).between(least, l.Most)
		}
		return integerRow(at, name, *def.(*int), Live, doc).between(least, l.Most)
	}
	panic("limit " + l.Name + " is neither a number nor a time")
}

// limitRows are the keys of [limits].
func limitRows(to *broker.Limits) []*row {
	def := broker.DefaultLimits()
	var rows []*row
	for _, l := range broker.LimitRows() {
		if l.Name == "sys-interval" {
			continue // a key of the top
		}
		least := 1
		if l.ZeroAllowed() {
			least = 0
		}
		doc := "Reaching it: " + l.Effect + ". Why this default: " + l.Why + "."
		row := limitRow(to, l, l.Field(&def), least, doc).flag(l.Name)
		if l.ZeroAllowed() {
			row.least(memoryLimitMin)
		}
		rows = append(rows, row)
	}
	return rows
}

// topicPrefix checks the beginning of a topic name.
func topicPrefix(s string) string {
	switch {
	case s == "":
		return `must not be empty; "-" is for none`
	case strings.ContainsAny(s, "+#"):
		return "a topic has neither + nor #"
	case s[0] == '$':
		return "a topic that begins with $ belongs to the broker"
	case len(s) > 1024:
		return "is longer than 1024 bytes"
	}
	return ""
}

func logTarget(s string) string {
	if s == "stderr" || s == "syslog" || s == "journal" || strings.Contains(s, "/") {
		return ""
	}
	return `is neither "stderr", "syslog" nor "journal", and for a file it needs a slash: ` + quote("./"+s)
}
