package store

import "fmt"

// Key names a record: a table in the top byte, a number that the owner chose
// below it. Keys that are near each other cost the least memory, so number
// things in the order in which they come.
type Key uint64

// Table is a kind of record. What the tables hold is the owner's affair, but
// for one thing: values of tables from Cold up stay on disk at Load.
type Table uint8

// Cold is the first table whose values Load does not read: message bodies.
const Cold Table = 0x80

const numberBits = 56

// KeyOf is the key of number n in table t. Only the low 56 bits of n count.
func KeyOf(t Table, n uint64) Key { return Key(uint64(t)<<numberBits | n&(1<<numberBits-1)) }

// Table is the table of k.
func (k Key) Table() Table { return Table(k >> numberBits) }

// Number is the number of k within its table.
func (k Key) Number() uint64 { return uint64(k) & (1<<numberBits - 1) }

func (k Key) String() string { return fmt.Sprintf("%d/%d", k.Table(), k.Number()) }
