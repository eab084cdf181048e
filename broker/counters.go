package broker

import (
	"reflect"
	"strings"
)

// counters are the numbers of the struct that of points to and that are not 0,
// as pairs for the log: DollarDrops is dollar_drops.
func counters(of any) (pairs []any) {
	v := reflect.ValueOf(of).Elem()
	for i := range v.NumField() {
		if f := v.Field(i); !f.IsZero() {
			pairs = append(pairs, underscored(v.Type().Field(i).Name), f.Interface())
		}
	}
	return pairs
}

// underscored is a name in small letters with a _ in front of each word but the
// first.
func underscored(name string) string {
	var b strings.Builder
	for i, c := range name {
		if c >= 'A' && c <= 'Z' {
			if i > 0 {
				b.WriteByte('_')
			}
			c += 'a' - 'A'
		}
		b.WriteRune(c)
	}
	return b.String()
}
