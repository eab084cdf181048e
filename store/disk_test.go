package store

import (
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
)

// disk is a directory that remembers every call, so that a test can cut the
// power after any of them: what was not synced is then lost, kept or torn,
// sector by sector.
type disk struct {
	ops   []diskOp
	files map[string]*diskFile
	inode int
	fail  func(what string) error // asked before each call that may fail
	gate  int                     // calls asked for so far
}

type diskOp struct {
	kind string // create, write, size, sync, remove, rename, syncdir, lose
	file int    // inode
	name string
	to   string
	off  int64
	data []byte
	size int64
}

type diskFile struct {
	disk  *disk
	inode int
	data  []byte
}

func newDisk() *disk { return &disk{files: map[string]*diskFile{}} }

func (d *disk) may(what string) error {
	d.gate++
	if d.fail == nil {
		return nil
	}
	return d.fail(what)
}

func (d *disk) path(name string) string { return "disk/" + name }
func (d *disk) list() ([]string, error) {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(d.files)) {
		if !strings.Contains(name, "/") {
			names = append(names, name)
		}
	}
	return names, d.may("list")
}

func (d *disk) open(name string) (file, error) {
	f, ok := d.files[name]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return f, d.may("open")
}

func (d *disk) create(name string) (file, error) {
	if d.files[name] != nil {
		return nil, fs.ErrExist
	}
	if err := d.may("create"); err != nil {
		return nil, err
	}
	d.inode++
	f := &diskFile{disk: d, inode: d.inode}
	d.files[name] = f
	d.ops = append(d.ops, diskOp{kind: "create", file: f.inode, name: name})
	return f, nil
}

func (d *disk) rename(from, to string) error {
	if err := d.may("rename"); err != nil {
		return err
	}
	f, ok := d.files[from]
	if !ok {
		return fs.ErrNotExist
	}
	delete(d.files, from)
	d.files[to] = f
	d.ops = append(d.ops, diskOp{kind: "rename", file: f.inode, name: from, to: to})
	return nil
}

func (d *disk) remove(name string) error {
	if err := d.may("remove"); err != nil {
		return err
	}
	if d.files[name] == nil {
		return fs.ErrNotExist
	}
	d.ops = append(d.ops, diskOp{kind: "remove", file: d.files[name].inode, name: name})
	delete(d.files, name)
	return nil
}

func (d *disk) makeDir(string) error { return nil }

func (d *disk) syncDir(string) error {
	if err := d.may("syncdir"); err != nil {
		return err
	}
	d.ops = append(d.ops, diskOp{kind: "syncdir"})
	return nil
}

func (f *diskFile) readAt(b []byte, off int64) error {
	if err := f.disk.may("read"); err != nil {
		return err
	}
	if off+int64(len(b)) > int64(len(f.data)) {
		return io.ErrUnexpectedEOF
	}
	copy(b, f.data[off:])
	return nil
}

func (f *diskFile) writeAt(b []byte, off int64) error {
	if off%sectorBytes != 0 || len(b)%sectorBytes != 0 {
		panic(fmt.Sprintf("write of %d bytes at %d", len(b), off))
	}
	if err := f.disk.may("write"); err != nil {
		// Nothing, some, or all of it may have got there.
		b = b[:len(b)*(f.disk.gate%3)/2/sectorBytes*sectorBytes]
		f.disk.ops = append(f.disk.ops, diskOp{kind: "write", file: f.inode, off: off, data: slices.Clone(b)})
		f.data = patch(f.data, off, b)
		return err
	}
	f.disk.ops = append(f.disk.ops, diskOp{kind: "write", file: f.inode, off: off, data: slices.Clone(b)})
	f.data = patch(f.data, off, b)
	return nil
}

func (f *diskFile) sync() error {
	if err := f.disk.may("sync"); err != nil {
		// As Linux does it: reads go on showing what was written, and the next
		// sync succeeds without writing it.
		f.disk.ops = append(f.disk.ops, diskOp{kind: "lose", file: f.inode})
		return err
	}
	f.disk.ops = append(f.disk.ops, diskOp{kind: "sync", file: f.inode})
	return nil
}

func (f *diskFile) allocate(size int64) error {
	if err := f.disk.may("allocate"); err != nil {
		return err
	}
	f.data = append(f.data, make([]byte, size-int64(len(f.data)))...)
	f.disk.ops = append(f.disk.ops, diskOp{kind: "size", file: f.inode, size: size}, diskOp{kind: "sync", file: f.inode})
	return nil
}

func (f *diskFile) size() (int64, error) { return int64(len(f.data)), f.disk.may("stat") }
func (f *diskFile) readSoon()            {}
func (f *diskFile) close() error         { return nil }

func patch(data []byte, off int64, b []byte) []byte {
	if need := int(off) + len(b); need > len(data) {
		data = append(data, make([]byte, need-len(data))...)
	}
	copy(data[off:], b)
	return data
}

// chooser says whether the next unsynced thing survived the power cut.
type chooser func() bool

func randomly(rng *rand.Rand) chooser {
	p := []float64{0, 0.1, 0.5, 0.9, 1}[rng.IntN(5)]
	return func() bool { return rng.Float64() < p }
}

// medium is what a disk has for sure, and what it may or may not have.
type medium struct {
	inodes  map[int]*inode
	names   map[string]int
	entries []diskOp // of the directory, not synced
}

type inode struct {
	data    []byte
	pending []diskOp
}

func (m *medium) enter(o diskOp) {
	switch o.kind {
	case "create":
		m.names[o.name] = o.file
	case "remove":
		delete(m.names, o.name)
	case "rename":
		delete(m.names, o.name)
		m.names[o.to] = o.file
	}
}

// settle writes what is pending, as far as keep says.
func (f *inode) settle(keep chooser) {
	for _, o := range f.pending {
		if o.kind == "size" && o.size > int64(len(f.data)) && keep() {
			f.data = append(f.data, make([]byte, o.size-int64(len(f.data)))...)
		}
		for at := 0; at < len(o.data); at += sectorBytes {
			if keep() {
				f.data = patch(f.data, o.off+int64(at), o.data[at:at+sectorBytes])
			}
		}
	}
	f.pending = nil
}

func (m *medium) do(o diskOp, keep chooser) {
	switch o.kind {
	case "create":
		m.inodes[o.file] = &inode{}
		m.entries = append(m.entries, o)
	case "remove", "rename":
		m.entries = append(m.entries, o)
	case "syncdir":
		for _, e := range m.entries {
			m.enter(e)
		}
		m.entries = nil
	case "write", "size":
		m.inodes[o.file].pending = append(m.inodes[o.file].pending, o)
	case "sync":
		m.inodes[o.file].settle(func() bool { return true })
	case "lose":
		m.inodes[o.file].settle(keep)
	}
}

// cut is the disk as it is found when the power went after n calls. Names and
// sectors that were not synced survive as keep says.
func (d *disk) cut(n int, keep chooser) *disk {
	m := &medium{inodes: map[int]*inode{}, names: map[string]int{}}
	for _, o := range d.ops[:n] {
		m.do(o, keep)
	}
	for _, e := range m.entries {
		if keep() {
			m.enter(e)
		}
	}
	after := newDisk()
	after.inode = d.inode
	for _, name := range slices.Sorted(maps.Keys(m.names)) {
		if f := m.inodes[m.names[name]]; f != nil {
			f.settle(keep)
			after.files[name] = &diskFile{disk: after, inode: m.names[name], data: f.data}
		}
	}
	after.begin()
	return after
}

// begin makes what is there now the start of a further history.
func (d *disk) begin() {
	for _, name := range slices.Sorted(maps.Keys(d.files)) {
		f := d.files[name]
		d.ops = append(d.ops, diskOp{kind: "create", file: f.inode, name: name})
		d.ops = append(d.ops, diskOp{kind: "size", file: f.inode, size: int64(len(f.data))})
		for at := 0; at < len(f.data); at += sectorBytes {
			if s := f.data[at:min(at+sectorBytes, len(f.data))]; !allZero(s) {
				d.ops = append(d.ops, diskOp{kind: "write", file: f.inode, off: int64(at), data: slices.Clone(s)})
			}
		}
		d.ops = append(d.ops, diskOp{kind: "sync", file: f.inode})
	}
	d.ops = append(d.ops, diskOp{kind: "syncdir"})
}
