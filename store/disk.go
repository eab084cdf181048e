package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"
)

// Disk is a directory in memory that remembers every call, so that a test can
// cut the power after any of them: what was not synced is then lost, kept or
// torn, sector by sector.
type Disk struct {
	// Fail is asked before each call that may fail, with the name of the call:
	// write, sync, allocate, create, remove, rename, syncdir, read, open, stat or
	// list. nil: none does.
	Fail func(what string) error

	mu    sync.Mutex // of all below
	ops   []diskOp
	files map[string]*diskFile
	inode int
	gate  int // calls asked for so far
}

// OpenDisk opens the store on d: Open for who wants to cut the power.
func OpenDisk(d *Disk, o Options) (*Store, error) {
	if o.Post == nil {
		return nil, errors.New("open store: Options.Post is missing")
	}
	if err := o.complete(); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	w, err := openLog(d, o)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	return serve(w, nil), nil
}

// Changes is how many calls have changed something so far: an instant at which
// the power may be cut.
func (d *Disk) Changes() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.ops)
}

// Calls is how many calls have asked Fail, or would have.
func (d *Disk) Calls() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.gate
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
	disk  *Disk
	inode int
	data  []byte
}

// NewDisk is an empty directory.
func NewDisk() *Disk { return &Disk{files: map[string]*diskFile{}} }

func (d *Disk) may(what string) error {
	d.gate++
	if d.Fail == nil {
		return nil
	}
	return d.Fail(what)
}

func (d *Disk) path(name string) string { return "disk/" + name }
func (d *Disk) list() ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var names []string
	for _, name := range slices.Sorted(maps.Keys(d.files)) {
		if !strings.Contains(name, "/") {
			names = append(names, name)
		}
	}
	return names, d.may("list")
}

func (d *Disk) open(name string) (file, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f, ok := d.files[name]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return f, d.may("open")
}

func (d *Disk) create(name string) (file, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
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

func (d *Disk) rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
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

func (d *Disk) remove(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
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

func (d *Disk) makeDir(string) error { return nil }

func (d *Disk) syncDir(string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.may("syncdir"); err != nil {
		return err
	}
	d.ops = append(d.ops, diskOp{kind: "syncdir"})
	return nil
}

func (f *diskFile) readAt(b []byte, off int64) error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
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
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
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
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
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
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if err := f.disk.may("allocate"); err != nil {
		return err
	}
	f.data = append(f.data, make([]byte, size-int64(len(f.data)))...)
	f.disk.ops = append(f.disk.ops, diskOp{kind: "size", file: f.inode, size: size}, diskOp{kind: "sync", file: f.inode})
	return nil
}

func (f *diskFile) size() (int64, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	return int64(len(f.data)), f.disk.may("stat")
}

func (f *diskFile) readSoon()    {}
func (f *diskFile) close() error { return nil }

func patch(data []byte, off int64, b []byte) []byte {
	if need := int(off) + len(b); need > len(data) {
		data = append(data, make([]byte, need-len(data))...)
	}
	copy(data[off:], b)
	return data
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
func (f *inode) settle(keep func() bool) {
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

func (m *medium) do(o diskOp, keep func() bool) {
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

// Cut is the disk as it is found when the power went after n calls. Names and
// sectors that were not synced survive as keep says.
func (d *Disk) Cut(n int, keep func() bool) *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	m := &medium{inodes: map[int]*inode{}, names: map[string]int{}}
	for _, o := range d.ops[:n] {
		m.do(o, keep)
	}
	for _, e := range m.entries {
		if keep() {
			m.enter(e)
		}
	}
	after := NewDisk()
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
func (d *Disk) begin() {
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
