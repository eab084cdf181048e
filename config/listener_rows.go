package config

import (
	"slices"
	"strings"

	"github.com/loopmq/loopmq/broker"
)

func (l *Listener) rows() []*row {
	return []*row{
		textRow(&l.URL, "url", "", Remake,
			"What to listen on: mqtt://HOST:PORT or tcp:// (port 1883), mqtts:// or tls:// (8883), ws:// (8083), wss:// (8084), or unix:///PATH. An empty host is every address; port 0 lets the system choose. Another scheme or path at the same address takes effect live.").flag("listen"),
		textRow(&l.Name, "name", "", Live,
			"What logs, counters and reloads call it; without one they take the URL."),
		listRow(&l.Versions, KindChoiceList, "versions", []string{"3.1", "3.1.1", "5"}, Live,
			"The versions of MQTT that clients may speak; none is all of them."),
		integerRow(&l.MaxConnections, "max_connections", 0, Live,
			"How many clients may be connected to it; 0 is no bound of its own."),
		rateRow(&l.ConnectRate, "connect_rate", Live,
			"How many connections it takes in a time; more wait."),
		rateRow(&l.AddressRate, "address_rate", Live,
			"How many connections it takes from one address, of IPv6 one /64 network, in a time; more are closed at once."),
		switchRow(&l.Anonymous, "anonymous", Live,
			`May clients connect that do not say who they are? "auto" is as auth.anonymous.`),
		listRow(&l.Auth, KindChoiceList, "auth", AuthNames(), Live,
			"Ways to show who one is, in the order in which they are asked; none is as auth.chain."),
		pathRow(&l.PasswordFile, "password_file", Live,
			`Users and their passwords for this listener; "" is as auth.password_file.`),
		pathRow(&l.ACLFile, "acl_file", Live,
			`Who may do what on this listener; "" is as auth.acl_file.`),
		textRow(&l.Path, "path", webPathDefault, Live,
			"The path that is served, of ws:// and wss://, if the URL has none; / is served too.", webPath),
		listRow(&l.Origins, KindTextList, "origins", nil, Live,
			"The web pages whose scripts may connect, of ws:// and wss://: https://HOST. None is all."),
		networksRow(&l.ForwardedTrusted, "forwarded_trusted", Live,
			"The proxies whose X-Forwarded-For is believed, of ws:// and wss://."),
		choiceRow(&l.ProxyProtocol, "proxy_protocol", "off", []string{"off", "v1", "v2", "any"}, Live,
			"The header that a proxy in front writes before anything else, to say who connects."),
		networksRow(&l.ProxyTrusted, "proxy_trusted", Live,
			"The proxies that may write it; others are turned away."),
		modeRow(&l.Mode, "mode", Remake, "Permissions of the socket, of unix://."),
		textRow(&l.Owner, "owner", "", Remake, "Owner of the socket, of unix://: a name or a number."),
		textRow(&l.Group, "group", "", Remake, "Group of the socket, of unix://: a name or a number."),
		tableRow("tls", l.TLS.rows(), "Encryption, of mqtts://, tls:// and wss://."),
		tableRow("limits", listenerLimitRows(&l.Limits), "Bounds for the clients of this listener; what is not said is as in [limits]. A session is bound by those of the listener through which its client came last; after a restart by [limits] until its client comes again."),
	}
}

func (t *TLS) rows() []*row {
	return []*row{
		pathRow(&t.Cert, "cert", Live, "The certificate, PEM, followed by those that lead to its root."),
		pathRow(&t.Key, "key", Live, `Its key, PEM; "" is in the file of cert.`),
		tablesRow(&t.Certificates, "certificate", (*Certificate).rows,
			"One more certificate, for the names in it; the first one serves who asks for no name or an unknown one."),
		pathRow(&t.CA, "ca", Live, "Who signs the certificates of clients: a file of PEM certificates, or a directory of such files."),
		pathRow(&t.CRL, "crl", Live, "Certificates of clients that are no longer good, PEM."),
		choiceRow(&t.ClientCerts, "client_certs", "none", []string{"none", "optional", "required"}, Live,
			"Are clients asked for a certificate?"),
		choiceRow(&t.UserFrom, "user_from", "", []string{"", "cn", "subject"}, Live,
			`What of a client's certificate is the user: "cn" its Common Name, "subject" all of its subject; "" nothing, the client says it in CONNECT.`),
		choiceRow(&t.MinVersion, "min_version", "1.2", []string{"1.2", "1.3"}, Live, "The oldest version of TLS that is spoken."),
		listRow(&t.ALPN, KindTextList, "alpn", nil, Live, `Names of protocols that clients may ask for: ["mqtt"].`),
		sizeRow(&t.MaxRecord, "max_record", 0, Live,
			`The largest record sent, for devices with little memory; "0B" is as the library likes.`).between(0, 16384),
	}
}

func (c *Certificate) rows() []*row {
	return []*row{
		pathRow(&c.Cert, "cert", Live, "The certificate, PEM, followed by those that lead to its root."),
		pathRow(&c.Key, "key", Live, `Its key, PEM; "" is in the file of cert.`),
	}
}

// listenerLimits are the limits that a connection has for itself; the others
// bound what all clients share.
func listenerLimits() []broker.LimitRow {
	own := []string{
		"packet-bytes-max", "connect-bytes-max", "connect-timeout", "client-id-bytes-max", "inflight-max",
		"queued-messages-max", "queued-bytes-max", "subscriptions-max", "session-expiry", "receive-maximum",
		"topic-alias-max", "topic-alias-out-max", "keep-alive-max",
	}
	var rows []broker.LimitRow
	for _, l := range broker.LimitRows() {
		if slices.Contains(own, l.Name) {
			rows = append(rows, l)
		}
	}
	return rows
}

func listenerLimitRows(to *broker.Limits) []*row {
	var rows []*row
	for _, l := range listenerLimits() {
		doc := "As limits." + strings.ReplaceAll(l.Name, "-", "_") + "; 0 is what is said there."
		rows = append(rows, limitRow(to, l, l.Field(new(broker.Limits)), 0, doc))
	}
	return rows
}

func webPath(s string) string {
	switch {
	case s == "" || s[0] != '/':
		return "a path begins with a slash: " + quote("/"+s)
	case strings.ContainsAny(s, "?# "):
		return "a path has no ?, no # and no spaces"
	}
	return ""
}
