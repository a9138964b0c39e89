// Package audit keeps the record of every request and answer.
//
// A Broker (below) hands each Record to every device that is enabled; as long
// as there are devices, a record that none of them takes is an error, and what
// it tells of must not happen or not leave. A device is a file, syslog or a
// socket (file.go, syslog.go, socket.go); before it sees a record, every secret
// in it is replaced by its HMAC under the device's own salt (hash.go), so that
// a known secret can be looked for in the file and an unknown one not read from
// it. The lines have the shape of Vault's (entry.go).
package audit

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/store"
)

// ErrInvalid is wrapped by errors that the client can mend.
var ErrInvalid = errors.New("invalid audit device")

// errClosed refuses devices while the server stops.
var errClosed = errors.New("audit devices are closed: the server is stopping or being sealed")

const (
	// slow is how long a device takes for a record that is to be spared others.
	slow = time.Second
	// restTime is for how long it is spared them, as long as another device takes
	// them: every request waits for its records, and those for a dead device
	// would wait one after the other.
	restTime = 10 * time.Second
)

// errRests is returned for a record that a device was spared.
var errRests = errors.New("the audit device rests")

// saltBytes is the size of a device's salt.
const saltBytes = 32

// Device is what is kept about an audit device.
type Device struct {
	Path        string            `json:"path"` // with the final slash
	Type        string            `json:"type"` // file, syslog or socket
	Description string            `json:"description"`
	Options     map[string]string `json:"options"`
	Local       bool              `json:"local"`
	Salt        []byte            `json:"salt"`
}

// sink takes lines. Methods need not be safe for concurrent use.
type sink interface {
	// write puts one line, with its end, where it belongs; when it returns nil,
	// the line has left the server.
	write(line []byte) error
	// reopen begins anew, as after a file was moved away.
	reopen() error
	close() error
}

// device is an enabled device.
type device struct {
	Device
	format format

	mu    sync.Mutex
	sink  sink      // guarded by mu
	rests time.Time // guarded by mu; until then it is spared records
}

// Broker keeps the devices. Its methods are safe for concurrent use.
type Broker struct {
	storage logical.Storage
	logger  hclog.Logger

	enabling sync.Mutex // held while a device is enabled; taken before mu

	mu      sync.RWMutex
	devices map[string]*device // guarded by mu; path → device
	closed  bool               // guarded by mu
}

// New returns a broker without devices.
func New(storage logical.Storage, logger hclog.Logger) *Broker {
	return &Broker{storage: storage, logger: logger, devices: map[string]*device{}}
}

// Restore opens the devices that were enabled. One that cannot be opened fails
// the start, for its absence could be what somebody wanted.
func (b *Broker) Restore(ctx context.Context) error {
	names, err := b.storage.List(ctx, "")
	if err != nil {
		return fmt.Errorf("listing audit devices: %w", err)
	}
	for _, name := range names {
		kept, err := store.GetJSON[Device](ctx, b.storage, name)
		if err != nil || kept == nil {
			return fmt.Errorf("reading audit device %q: %w", name, err)
		}
		opened, err := open(*kept)
		if err != nil {
			return fmt.Errorf("opening audit device %q: %w", kept.Path, err)
		}
		b.mu.Lock()
		b.devices[kept.Path] = opened
		b.mu.Unlock()
	}
	return nil
}

// Enable opens a device and keeps it; Salt is made up. Requests go on while it
// is being opened, which may take as long as its server does not answer.
func (b *Broker) Enable(ctx context.Context, d Device) error {
	d.Path = strings.Trim(d.Path, "/") + "/"
	if d.Path == "/" || strings.Contains(strings.TrimSuffix(d.Path, "/"), "/") || strings.Contains(d.Path, "..") {
		return fmt.Errorf("%w: path %q: use one word of letters, digits, - and _", ErrInvalid, d.Path)
	}
	b.enabling.Lock()
	defer b.enabling.Unlock()
	if b.at(d.Path) != nil {
		return fmt.Errorf("%w: path is already in use: choose another than %q", ErrInvalid, d.Path)
	}
	d.Salt = make([]byte, saltBytes)
	_, _ = rand.Read(d.Salt) // never fails, by its contract
	opened, err := open(d)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if err := b.add(ctx, opened); err != nil {
		return errors.Join(err, opened.shut())
	}
	return nil
}

// add keeps a device that has been opened, unless the broker was closed
// meanwhile.
func (b *Broker) add(ctx context.Context, d *device) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return errClosed
	}
	if err := store.PutJSON(ctx, b.storage, strings.TrimSuffix(d.Path, "/"), &d.Device); err != nil {
		return err
	}
	b.devices[d.Path] = d
	return nil
}

// Disable closes a device and forgets it. One that is not there is none.
func (b *Broker) Disable(ctx context.Context, path string) error {
	path = strings.Trim(path, "/") + "/"
	b.mu.Lock()
	defer b.mu.Unlock()
	d := b.devices[path]
	if d == nil {
		return nil
	}
	if err := b.storage.Delete(ctx, strings.TrimSuffix(path, "/")); err != nil {
		return fmt.Errorf("disabling audit device %q: %w", path, err)
	}
	delete(b.devices, path)
	return d.shut()
}

func (b *Broker) at(path string) *device {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.devices[path]
}

// Devices returns what is enabled, sorted by path, without the salts.
func (b *Broker) Devices() []Device {
	b.mu.RLock()
	defer b.mu.RUnlock()
	all := make([]Device, 0, len(b.devices))
	for _, path := range slices.Sorted(maps.Keys(b.devices)) {
		d := b.devices[path].Device
		d.Salt = nil
		all = append(all, d)
	}
	return all
}

// Hash returns what a device writes in place of a secret.
func (b *Broker) Hash(path, secret string) (string, error) {
	d := b.at(strings.Trim(path, "/") + "/")
	if d == nil {
		return "", fmt.Errorf("%w: no device at %q; see sys/audit", ErrInvalid, path)
	}
	return d.format.hash(secret), nil
}

// Active reports whether anything is recorded at all.
func (b *Broker) Active() bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return len(b.devices) > 0
}

// Write hands a record to every device. It fails when there are devices and
// none has taken it.
func (b *Broker) Write(r *Record) error {
	b.mu.RLock()
	defer b.mu.RUnlock()
	taken, resting, err := b.offer(slices.Collect(maps.Values(b.devices)), r, true)
	if !taken && len(resting) > 0 {
		var other error
		taken, _, other = b.offer(resting, r, false)
		err = errors.Join(err, other)
	}
	if taken {
		return nil
	}
	return err
}

// offer hands a record to some devices, and reports whether one has taken it.
// Those that rest are spared it and returned, if they may be.
func (b *Broker) offer(devices []*device, r *Record, spare bool) (taken bool, resting []*device, err error) {
	for _, d := range devices {
		late, failed := d.write(r, spare)
		if late {
			b.logger.Warn("an audit device takes long; it is spared records while another one takes them", "device", d.Path, "for", restTime)
		}
		switch {
		case failed == nil:
			taken = true
		case errors.Is(failed, errRests):
			resting = append(resting, d)
		default:
			b.logger.Error("writing an audit record", "device", d.Path, "request_id", r.Request.ID, "error", failed)
			err = errors.Join(err, fmt.Errorf("audit device %q: %w", d.Path, failed))
		}
	}
	return taken, resting, err
}

// Reopen makes every device begin anew, as after its file was moved away.
func (b *Broker) Reopen() error {
	b.mu.RLock()
	defer b.mu.RUnlock()
	var failed []error
	for _, d := range b.devices {
		d.mu.Lock()
		d.rests = time.Time{}
		if err := d.sink.reopen(); err != nil {
			failed = append(failed, fmt.Errorf("reopening audit device %q: %w", d.Path, err))
		}
		d.mu.Unlock()
	}
	return errors.Join(failed...)
}

// Close closes every device; they stay enabled for the next start.
func (b *Broker) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	var failed []error
	for _, d := range b.devices {
		failed = append(failed, d.shut())
	}
	b.devices, b.closed = map[string]*device{}, true
	return errors.Join(failed...)
}

// write returns errRests for a device that is to be spared the record. Late tells
// that the device rests from now on.
func (d *device) write(r *Record, spare bool) (late bool, err error) {
	line, err := d.format.line(r)
	if err != nil {
		return false, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	begun := time.Now()
	if spare && begun.Before(d.rests) {
		return false, errRests
	}
	err = d.sink.write(line)
	now := time.Now()
	timeout, ok := errors.AsType[net.Error](err)
	late = ok && timeout.Timeout() || now.Sub(begun) >= slow
	if late {
		d.rests = now.Add(restTime)
	}
	return late, err
}

func (d *device) shut() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.sink.close()
}

// options reads the options of a device and remembers which were asked for, so
// that the rest can be refused.
type options struct {
	given map[string]string
	asked []string
	err   error
}

func (o *options) text(key, fallback string) string {
	o.asked = append(o.asked, key)
	if value, ok := o.given[key]; ok && value != "" {
		return value
	}
	return fallback
}

func (o *options) flag(key string, fallback bool) bool {
	value, err := strconv.ParseBool(o.text(key, strconv.FormatBool(fallback)))
	if err != nil {
		o.err = fmt.Errorf("option %s: %q is neither true nor false", key, o.given[key])
	}
	return value
}

// rest refuses options that mean nothing.
func (o *options) rest() error {
	for _, key := range slices.Sorted(maps.Keys(o.given)) {
		if !slices.Contains(o.asked, key) {
			return fmt.Errorf("unknown option %q; there are: %s", key, strings.Join(o.asked, ", "))
		}
	}
	return o.err
}

// open opens what a device writes to.
func open(d Device) (*device, error) {
	o := &options{given: d.Options}
	opened := &device{Device: d, format: newFormat(d.Salt, o)}
	var begin func() (sink, error)
	switch d.Type {
	case "file":
		begin = fileOptions(o)
	case "syslog":
		begin = syslogOptions(o)
	case "socket":
		begin = socketOptions(o)
	default:
		return nil, fmt.Errorf("unknown type %q; use file, syslog or socket", d.Type)
	}
	if err := o.rest(); err != nil {
		return nil, err
	}
	var err error
	opened.sink, err = begin()
	return opened, err
}
