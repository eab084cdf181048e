package transport

import (
	"errors"

	"github.com/loopmq/loopmq/loop"
)

// ErrNotAccepted closes a connection that the owner does not want after its header was read.
var ErrNotAccepted = errors.New("connection not accepted")

// Proxy is the handler of a connection that begins with a PROXY protocol header. Behind the header it passes on every
// call as it comes.
type Proxy struct {
	accept func(ProxyHeader) loop.Handler
	failed func(why error)
	inner  loop.Handler // nil until the header has come
}

// NewProxy returns the handler to give to the engine. accept returns the handler of what follows the header; nil
// closes the connection. failed, which may be nil, hears why a connection ended before accept had its turn. Only a
// listener that nobody but the proxy can reach may be served like this: anybody can write a header.
func NewProxy(accept func(ProxyHeader) loop.Handler, failed func(why error)) *Proxy {
	return &Proxy{accept: accept, failed: failed}
}

// Data implements loop.Handler.
//
// hot: behind the header one call more.
func (p *Proxy) Data(view []byte) (used int, err error) {
	if p.inner != nil {
		return p.inner.Data(view)
	}
	h, n, err := ParseProxy(view)
	if n == 0 || err != nil {
		return 0, err
	}
	if p.inner = p.accept(h); p.inner == nil {
		return n, ErrNotAccepted
	}
	if n == len(view) {
		return n, nil
	}
	used, err = p.inner.Data(view[n:])
	return n + used, err
}

// Drained implements loop.Handler.
func (p *Proxy) Drained() {
	if p.inner != nil {
		p.inner.Drained()
	}
}

// Closed implements loop.Handler.
func (p *Proxy) Closed(why error) {
	switch {
	case p.inner != nil:
		p.inner.Closed(why)
	case p.failed != nil && !errors.Is(why, ErrNotAccepted):
		p.failed(why)
	}
}
