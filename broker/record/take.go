package record

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net/netip"

	"github.com/loopmq/loopmq/codec"
	"github.com/loopmq/loopmq/router"
)

// What follows reads the parts of events. After an error there is nothing but zeros, and the error is in player.err.

// maxString bounds a string of a file that somebody may have made.
const maxString = 300 << 20

// fail notes why reading ends.
//
//go:noinline
func (p *player) fail(err error) {
	if p.err == nil {
		p.err = err
	}
}

// damaged is fail where there is something that cannot be.
func (p *player) damaged(what string) {
	p.fail(errors.New("the recording is damaged, or of another version: " + what))
}

func (p *player) number() uint64 {
	if p.err != nil {
		return 0
	}
	n, err := binary.ReadUvarint(p.in)
	if err == io.ErrUnexpectedEOF {
		err = io.EOF
	}
	if err != nil {
		p.fail(err)
		return 0
	}
	return n
}

func (p *player) signed() int64 {
	n := p.number()
	return int64(n>>1) ^ -int64(n&1)
}

func (p *player) text() string { return string(p.bytes()) }

func (p *player) bytes() []byte {
	n := p.number()
	if n > maxString {
		p.damaged("a string without end")
	}
	if p.err != nil {
		return nil
	}
	b, err := io.ReadAll(&io.LimitedReader{R: p.in, N: int64(n)}) // not more memory than has come, whatever is announced
	if err != nil || uint64(len(b)) < n {
		p.fail(io.EOF)
		return nil
	}
	return b
}

// json reads plain fields; an empty string leaves them as they are.
func (p *player) json(v any) {
	b := p.bytes()
	if len(b) == 0 {
		return
	}
	if err := json.Unmarshal(b, v); err != nil {
		p.damaged(err.Error())
	}
}

func (p *player) peer() (peer router.Peer) {
	if addr := p.text(); addr != "" {
		var err error
		if peer.Remote, err = netip.ParseAddrPort(addr); err != nil {
			p.damaged(err.Error())
		}
	}
	flags, user := p.number(), p.text()
	if flags&flagKnown != 0 {
		peer.Identity = &router.Identity{User: user} // what it may do is not asked
	}
	return peer
}

func (p *player) verdict() *verdict {
	v := &verdict{flags: p.number()}
	v.Identity = p.who(v.flags, p.text())
	v.Reason, v.Text = codec.Reason(p.number()), p.text()
	p.json(&v.Quota)
	v.Lifetime = p.signed()
	return v
}
