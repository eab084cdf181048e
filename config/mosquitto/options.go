package mosquitto

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/loopmq/loopmq/config"
)

// option is what one name means.
type option struct {
	take   func(c *converter, value string)
	bridge bool // stands below a connection
	empty  bool // may have no value
}

// options are all options of Mosquitto 2.0 and 2.1, and some older ones.
func options() map[string]option {
	all := map[string]option{}
	for _, some := range []map[string]option{listenerOptions(), securityOptions(), tlsOptions(), limitOptions(), otherOptions(), leftOut(), bridgeOptions()} {
		maps.Copy(all, some)
	}
	return all
}

// set is an option whose value is taken as it is.
func set(f func(c *converter) *string) option {
	return option{take: func(c *converter, value string) { *f(c) = value }}
}

// truth is an option that is true or false.
func truth(f func(c *converter, on bool)) option {
	return option{take: func(c *converter, value string) {
		if on, ok := c.boolean(value); ok {
			f(c, on)
		}
	}}
}

// count is an option with a number.
func count(least, most int, f func(c *converter, n int)) option {
	return option{take: func(c *converter, value string) {
		if n, ok := c.integer(value, least, most); ok {
			f(c, n)
		}
	}}
}

// no is an option that is left out, and why.
func no(why string) option {
	return option{take: func(c *converter, _ string) { c.note("left out: %s", why) }, empty: true}
}

// never is an option that must not be left out, and why.
func never(why string) option {
	return option{take: func(c *converter, _ string) { c.refuse("cannot be left out: %s", why) }, empty: true}
}

// unless is a truth value that matters only when it is not as we do.
func unless(ours bool, why string) option {
	return truth(func(c *converter, on bool) {
		if on != ours {
			c.note("left out: %s", why)
		}
	})
}

// neverIf is a truth value that must not be left out when it is true.
func neverIf(why string) option {
	return truth(func(c *converter, on bool) {
		if on {
			c.refuse("cannot be left out: %s", why)
		}
	})
}

func listenerOptions() map[string]option {
	return map[string]option{
		"listener": {take: (*converter).listener},
		"port": count(1, 65535, func(c *converter, n int) {
			c.named, c.implicitNamed, c.current = true, true, nil
			c.here().port = n
			c.current = c.implicit
		}),
		"bind_address": {take: func(c *converter, value string) {
			c.named, c.implicitNamed, c.current = true, true, nil
			c.here().host = value
			c.current = c.implicit
		}},
		"bind_interface":  never("the listener would be open on other interfaces too; write its address behind listener PORT"),
		"socket_domain":   {take: (*converter).domain},
		"protocol":        {take: (*converter).protocol},
		"max_connections": count(math.MinInt32, math.MaxInt32, func(c *converter, n int) { c.here().out.MaxConnections = max(n, 0) }),
		"mount_point":     never("its clients would see the topics of all others"),
		"max_qos":         {take: (*converter).maxQoS},
		"maximum_qos":     {take: (*converter).maxQoS},
		"max_topic_alias": count(0, 65535, func(c *converter, n int) {
			if n == 0 {
				c.note("left out: topic aliases cannot be switched off for one listener")
			}
			c.here().out.Limits.TopicAliasMax = n
		}),
		"max_topic_alias_broker": count(0, 65535, func(c *converter, n int) {
			if n == 0 {
				c.note("left out: topic aliases cannot be switched off for one listener")
			}
			c.here().out.Limits.TopicAliasOutMax = n
		}),
		"accept_protocol_versions": {take: (*converter).versions},
		"websockets_origin": {take: func(c *converter, value string) {
			if l := c.here(); !slices.Contains(l.out.Origins, value) {
				l.out.Origins = append(l.out.Origins, value)
			}
		}},
		"enable_proxy_protocol": count(1, 2, func(c *converter, n int) {
			c.here().proxy, c.here().proxyAt = n, c.at
		}),
		"proxy_protocol_v2_require_tls": neverIf("connections that reached the proxy without TLS would be taken"),
		"use_username_as_clientid":      neverIf("a client could take the session of another one by its client identifier"),
	}
}

func securityOptions() map[string]option {
	return map[string]option{
		"per_listener_settings":          truth(func(c *converter, on bool) { c.perListener = c.perListener || on }),
		"allow_anonymous":                truth(func(c *converter, on bool) { c.secure().anonymous = onOff(on) }),
		"listener_allow_anonymous":       truth(func(c *converter, on bool) { c.here().sec.anonymous = onOff(on) }),
		"password_file":                  set(func(c *converter) *string { return &c.secure().passwordFile }),
		"acl_file":                       set(func(c *converter) *string { return &c.secure().aclFile }),
		"auth_plugin":                    {take: (*converter).loadPlugin},
		"plugin":                         {take: (*converter).loadPlugin},
		"global_plugin":                  {take: (*converter).loadPlugin},
		"plugin_load":                    never("plug-ins cannot be loaded; what it decides would be decided by nobody"),
		"plugin_use":                     never("plug-ins cannot be loaded; what it decides would be decided by nobody"),
		"auth_plugin_deny_special_chars": {take: func(*converter, string) {}},
		"psk_file":                       never("TLS with pre-shared keys is not there: the listener would be open without them"),
		"psk_hint":                       never("TLS with pre-shared keys is not there: the listener would be open without them"),
		"clientid_prefixes":              never("clients with any client identifier would be let in"),
		"allow_zero_length_clientid":     unless(true, "clients without a client identifier are given one"),
		"check_retain_source":            unless(true, "who wrote a retained message must still be allowed to when it is delivered"),
	}
}

func onOff(on bool) config.Switch {
	if on {
		return config.On
	}
	return config.Off
}

func tlsOptions() map[string]option {
	return map[string]option{
		"certfile": set(func(c *converter) *string { return &c.here().cert }),
		"keyfile":  set(func(c *converter) *string { return &c.here().key }),
		"cafile":   set(func(c *converter) *string { return &c.here().ca }),
		"capath": {take: func(c *converter, value string) {
			c.here().capath, c.here().capathAt = value, c.at
		}},
		"crlfile": {take: func(c *converter, value string) {
			c.here().crl, c.here().crlAt = value, c.at
		}},
		"require_certificate": truth(func(c *converter, on bool) { c.here().required = on }),
		"use_identity_as_username": truth(func(c *converter, on bool) {
			c.here().identity, c.here().identityAt = on, c.at
		}),
		"use_subject_as_username": truth(func(c *converter, on bool) {
			c.here().subject, c.here().identityAt = on, c.at
		}),
		"tls_version":           {take: (*converter).tlsMin},
		"ciphers":               no("the library's are used, which are safe and in a good order"),
		"ciphers_tls1.3":        no("the library's are used, which are safe and in a good order"),
		"dhparamfile":           no("there is no use for it: keys are exchanged over elliptic curves"),
		"tls_engine":            never("keys cannot be taken from an engine"),
		"tls_engine_kpass_sha1": never("keys cannot be taken from an engine"),
		"tls_keyform": {take: func(c *converter, value string) {
			if word(value) != "pem" {
				c.refuse("cannot be left out: keys cannot be taken from an engine")
			}
		}},
		"disable_client_cert_date_checks": unless(false, "certificates of clients that are out of date are turned away"),
	}
}

func limitOptions() map[string]option {
	return map[string]option{
		"max_inflight_messages": count(math.MinInt32, 65535, func(c *converter, n int) { // below 0 is 0, here and below
			if n <= 0 {
				n = 65535
			}
			c.f.Limits.InflightMax = n
		}),
		"max_inflight_bytes": count(math.MinInt32, math.MaxInt32, func(c *converter, n int) {
			if n > 0 {
				c.note("left out: what is sent before it is acknowledged is counted in messages only, see limits.inflight_max")
			}
		}),
		"max_queued_messages": count(math.MinInt32, math.MaxInt32, func(c *converter, n int) {
			if n <= 0 {
				n = math.MaxInt32
				c.note("no bound of messages; a session is bound by limits.queued_bytes_max all the same")
			}
			c.f.Limits.QueuedMessagesMax = n
		}),
		"max_queued_bytes": count(math.MinInt32, math.MaxInt32, func(c *converter, n int) {
			if n <= 0 {
				c.note("left out: there is always a bound, see limits.queued_bytes_max")
				return
			}
			c.f.Limits.QueuedBytesMax = n
		}),
		"max_packet_size": count(20, math.MaxInt32, func(c *converter, n int) {
			c.packetSize = true
			c.f.Limits.PacketBytesMax = min(n, packetBytesMax)
		}),
		"message_size_limit": count(0, packetBytesMax, func(c *converter, n int) { c.messageSize = n }),
		"max_keepalive": count(0, 65535, func(c *converter, n int) {
			if n == 0 { // then they may have none
				n = 65536
			}
			c.f.Limits.KeepAliveMax = seconds(n)
		}),
		"persistent_client_expiration": {take: (*converter).expiration},
		"memory_limit": count(0, math.MaxInt, func(c *converter, n int) {
			switch {
			case n > 0 && n < 16<<20:
				c.note("left out: less than the 16 MiB that this broker needs")
			case n > 0:
				c.note("became a bound of what clients make the broker hold; backlogs are cut first, then publishers slowed down")
				c.f.Limits.MemoryBytesMax = n
			}
		}),
	}
}

// packetBytesMax is the largest packet of MQTT.
const packetBytesMax = 268_435_460

func otherOptions() map[string]option {
	return map[string]option{
		"include_dir":          {}, // see line
		"persistence":          truth(func(c *converter, on bool) { c.persistence = on }),
		"retained_persistence": truth(func(c *converter, on bool) { c.persistence = on }),
		"persistence_location": set(func(c *converter) *string { return &c.location }),
		"sys_interval":         count(0, 65535, func(c *converter, n int) { c.f.SysInterval = cmp.Or(seconds(n), sysNever) }),
		"log_dest":             {take: (*converter).logDest},
		"log_type":             {take: (*converter).logType},
	}
}

// leftOut are the options that change nothing that matters for safety.
func leftOut() map[string]option {
	const logTime = "lines begin with the time, see log.format"
	return map[string]option{
		"allow_duplicate_messages": unless(true, "a client gets a message once, with the highest QoS of its subscriptions"),
		"auto_id_prefix":           no("client identifiers that the broker gives have a form of their own"),
		"listener_auto_id_prefix":  no("client identifiers that the broker gives have a form of their own"),
		"autosave_interval":        no("changes are kept as they happen, not from time to time"),
		"autosave_on_changes":      no("changes are kept as they happen, not from time to time"),
		"persistence_file":         no("state_dir is a directory, its files have names of their own"),
		"connection_messages":      unless(true, "connections are logged"),
		"log_facility":             no("the system's log takes it as daemon"),
		"log_timestamp":            unless(true, logTime),
		"log_timestamp_format":     no(logTime),
		"websockets_log_level":     no("WebSocket connections are logged like all others"),
		"websockets_headers_size":  no("headers have a fixed bound"),
		"packet_buffer_size":       no("headers have a fixed bound"),
		"http_dir":                 no("no web pages are served"),
		"pid_file":                 no("whoever starts the broker knows its process"),
		"user":                     no("the broker runs as the user that starts it: start it as that user"),
		"queue_qos0_messages":      unless(false, "messages with QoS 0 do not wait for clients that are away"),
		"retain_available":         unless(true, "retained messages are always there"),
		"retain_expiry_interval":   no("retained messages stay until they are replaced, or as long as their publisher said"),
		"set_tcp_nodelay":          {take: func(*converter, string) {}}, // always
		"upgrade_outgoing_qos":     unless(false, "a message is delivered with the QoS that it was published with, at most"),
		"enable_control_api":       unless(false, "there are no $CONTROL topics"),
		"global_max_clients":       no("see limits.sessions_max"),
		"global_max_connections":   no("write max_connections for each listener"),
		"retry_interval":           no("it has no effect since Mosquitto 1.5"),
		"store_clean_interval":     no("it has no effect since Mosquitto 1.5"),
		"max_log_entries":          no("it has no effect any more"),
	}
}

// bridgeOptions are all left out, each by its line.
func bridgeOptions() map[string]option {
	all := map[string]option{
		"connection": {take: func(c *converter, value string) {
			c.bridge = word(value)
			c.note("left out: there are no bridges; nothing goes to or comes from %q", c.bridge)
		}},
	}
	below := option{bridge: true, empty: true, take: func(c *converter, _ string) { c.note("left out with the bridge %q", c.bridge) }}
	for name := range strings.FieldsSeq(`address addresses bridge_alpn bridge_attempt_unsubscribe bridge_bind_address
		bridge_cafile bridge_capath bridge_certfile bridge_ciphers bridge_ciphers_tls1.3 bridge_identity bridge_insecure
		bridge_keyfile bridge_max_packet_size bridge_max_topic_alias bridge_outgoing_retain bridge_protocol_version
		bridge_psk bridge_receive_maximum bridge_reload_type bridge_require_ocsp bridge_session_expiry_interval
		bridge_tcp_keepalive bridge_tcp_user_timeout bridge_tls_use_os_certs bridge_tls_version cleansession clientid
		idle_timeout keepalive_interval local_cleansession local_clientid local_password local_username notification_topic
		notifications notifications_local_only password remote_clientid remote_password remote_username restart_timeout
		round_robin start_type threshold topic try_private username`) {
		all[name] = below
	}
	return all
}

// sysNever stands for a sys_interval of 0, which is never with Mosquitto.
const sysNever = 365 * 24 * time.Hour
