package hostile

import (
	"context"
	"reflect"
	"time"
)

// holdings asks the router and the loop, on the loop. Its type parameters stand for types of packages that are not
// imported here.
func holdings[R interface {
	Stats() P
	CheckInvariants() error
}, P, S any](do func(context.Context, func(R, S)) error) (h held, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	err = do(ctx, func(r R, s S) {
		stats, to := reflect.ValueOf(r.Stats()).Elem(), reflect.ValueOf(&h).Elem()
		for _, name := range []string{"Clients", "Sessions", "Subscriptions", "Retained", "Queued", "Inflight"} {
			to.FieldByName(name).SetInt(stats.FieldByName(name).Int())
		}
		h.Conns = reflect.ValueOf(s).Elem().FieldByName("Conns").Uint()
		if broken := r.CheckInvariants(); broken != nil {
			h.Invariants = broken.Error()
		}
	})
	return h, err
}
