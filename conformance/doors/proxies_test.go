package doors

import (
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/loopmq/loopmq/internal/testkit"
)

// The configurations are those of docs/doors.md, with addresses filled in.
// haproxy wants certificate and key in one file.
const haproxyConf = `global
    maxconn 1000
defaults
    timeout connect 5s
    timeout client 1h
    timeout server 1h
    timeout tunnel 1h

frontend mqtt
    mode tcp
    bind 127.0.0.1:{{front0}}
    default_backend mqtt
backend mqtt
    mode tcp
    server loopmq {{broker0}} send-proxy-v2

frontend mqtts
    mode tcp
    bind 127.0.0.1:{{front1}} ssl crt {{bundle}} alpn mqtt
    default_backend mqtts
backend mqtts
    mode tcp
    server loopmq {{broker1}} send-proxy

frontend wss
    mode http
    bind 127.0.0.1:{{front2}} ssl crt {{bundle}} alpn http/1.1
    option forwardfor
    default_backend ws
backend ws
    mode http
    server loopmq {{broker2}}
`

const nginxConf = `daemon off;
master_process off;
pid {{dir}}/pid;
error_log stderr;
events { worker_connections 100; }
http {
    access_log off;
    client_body_temp_path {{dir}}/body;
    proxy_temp_path {{dir}}/proxy;
    fastcgi_temp_path {{dir}}/fastcgi;
    uwsgi_temp_path {{dir}}/uwsgi;
    scgi_temp_path {{dir}}/scgi;
    server {
        listen 127.0.0.1:{{front0}} ssl;
        ssl_certificate {{cert}};
        ssl_certificate_key {{key}};
        location /mqtt {
            proxy_pass http://{{broker2}};
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_read_timeout 1h;
        }
        location /forgotten {
            proxy_pass http://{{broker2}}/mqtt;
        }
    }
}
`

// behind is a broker with the listeners that the configurations send to.
func behind(t *testing.T, engine string) *served {
	t.Helper()
	return serve(t, engine, "mqtt://127.0.0.1:0?proxy=true&trust=127.0.0.0/8", "mqtt://127.0.0.1:0?proxy=true&trust=127.0.0.1",
		"ws://127.0.0.1:0/mqtt?trust=127.0.0.1", "mqtt://127.0.0.1:0")
}

// fill puts addresses into a configuration, and chooses the ports in front.
func fill(t *testing.T, a *authority, s *served, conf string) (path string, fronts []string) {
	t.Helper()
	words := []string{"{{dir}}", t.TempDir(), "{{cert}}", a.path("server.pem"), "{{key}}", a.path("server.key"), "{{bundle}}", a.path("bundle.pem")}
	fronts = testkit.FreeAddrs(t, 3)
	for i, n := range []string{"0", "1", "2"} {
		words = append(words, "127.0.0.1:{{front"+n+"}}", fronts[i], "{{broker"+n+"}}", s.addr(i))
	}
	return file(t, "conf", strings.NewReplacer(words...).Replace(conf)), fronts
}

// bundled is an authority that has signed the proxy's certificate.
func bundled(t *testing.T) *authority {
	t.Helper()
	a := newAuthority(t)
	a.sign("server", year, "localhost")
	var both []byte
	for _, name := range []string{"server.pem", "server.key"} {
		text, err := os.ReadFile(a.path(name))
		a.must(err)
		both = append(both, text...)
	}
	a.must(os.WriteFile(a.path("bundle.pem"), both, 0o600))
	return a
}

// fromAfar connects from another address of this machine.
func fromAfar(t *testing.T, local, addr string) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(local)}, Timeout: patience}
	c, err := d.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return c
}

// TestHAProxy: haproxy sends who is behind it, with both versions of its own
// protocol and in a header of HTTP, and takes TLS away.
func TestHAProxy(t *testing.T) {
	needsMQTTjs(t)
	a := bundled(t)
	each(t, func(t *testing.T, engine string) {
		s := behind(t, engine)
		conf, fronts := fill(t, a, s, haproxyConf)
		proxy := testkit.Run(t, "haproxy", "-db", "-f", conf)
		accepting(t, fronts[0], proxy)
		c := fromAfar(t, "127.0.0.77", fronts[0])
		expect(t, c, connect('2')+pingreq, connackOK+pingresp)
		s.log.wait(t, "msg=connected", "client=2", "addr="+c.LocalAddr().String())
		host, port, _ := net.SplitHostPort(fronts[1])
		output(t, false, "mosquitto_pub", "-h", host, "-p", port, "-A", "127.0.0.78", "--cafile", a.path("ca.pem"),
			"--tls-alpn", "mqtt", "-i", "one", "-q", "1", "-t", "t", "-m", "m")
		s.log.wait(t, "msg=connected", "client=one", "addr=127.0.0.78:")
		checks := testkit.Run(t, "node", scripts+"node.js", "wss://"+fronts[2]+"/mqtt", s.URLs()[3], "5", a.path("ca.pem"))
		checks.Prints("web to web: doors/web from web 0")
		s.log.wait(t, "msg=connected", "client=web", "addr=127.0.0.1", "listener=ws")
		// Who comes past the proxy is not believed to be one.
		direct := fromAfar(t, "127.0.0.77", s.addr(1))
		if n, err := direct.Read(make([]byte, 1)); err == nil {
			t.Errorf("%d bytes for somebody who is no proxy", n)
		}
		s.log.wait(t, "refused", "not trusted to be one", "addr=127.0.0.77:")
	})
}

// TestNginx: the WebSocket behind nginx with TLS, and what a client is told
// where the headers were forgotten.
func TestNginx(t *testing.T) {
	needsMQTTjs(t)
	a := bundled(t)
	each(t, func(t *testing.T, engine string) {
		s := behind(t, engine)
		conf, fronts := fill(t, a, s, nginxConf)
		accepting(t, fronts[0], testkit.Run(t, "nginx", "-c", conf, "-e", "stderr"))
		checks := testkit.Run(t, "node", scripts+"node.js", "wss://"+fronts[0]+"/mqtt", s.URLs()[3], "4", a.path("ca.pem"))
		checks.Prints("web to web: doors/web from web 0")
		s.log.wait(t, "msg=connected", "client=web", "addr=127.0.0.1", "listener=ws")
		said := curl(t, append([]string{"https://" + fronts[0] + "/forgotten", "--cacert", a.path("ca.pem")}, upgradeArgs("13", "mqtt")...)...)
		contains(t, said, "400 Bad Request", "nginx, for one, wants proxy_http_version 1.1")
		s.log.wait(t, "refused", "proxy_set_header for Upgrade")
	})
}
