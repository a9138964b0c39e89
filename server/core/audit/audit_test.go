package audit

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
)

const secret = "s3cret-Pa55"

// record is an answer that holds the secret everywhere it could be.
func record() *Record {
	return &Record{
		Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Answer: true,
		Auth: &Auth{Accessor: "acc-" + secret, DisplayName: "approle", Policies: []string{"app"}, Allowed: true},
		Request: &logical.Request{
			ID: "id-1", Operation: logical.UpdateOperation, Path: "database/config/pg", ClientToken: "hvs." + secret,
			Data: map[string]any{
				"password": secret, "list": []any{secret, json.Number("123456")}, "deep": map[string]any{"key": []byte(secret)},
				"own": map[string][]string{"x": {secret}}, "count": 7, "on": true,
			},
		},
		Response: &logical.Response{
			Data:   map[string]any{"password": secret, "keys": []string{"a", secret}, "ttl": int64(60)},
			Secret: &logical.Secret{LeaseID: "database/creds/app/1"},
			Auth:   &logical.Auth{ClientToken: secret, Accessor: secret},
		},
	}
}

func enable(t *testing.T, b *Broker, path, kind string, options map[string]string) {
	t.Helper()
	if err := b.Enable(t.Context(), Device{Path: path, Type: kind, Options: options}); err != nil {
		t.Fatal(err)
	}
}

func lines(t *testing.T, path string) []string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

func newBroker() (*Broker, logical.Storage) {
	storage := &logical.InmemStorage{}
	return New(storage, hclog.NewNullLogger()), storage
}

func TestNoSecretIsReadableAndEachCanBeLookedFor(t *testing.T) {
	b, _ := newBroker()
	path := filepath.Join(t.TempDir(), "logs", "audit.log")
	enable(t, b, "file", "file", map[string]string{"file_path": path, "prefix": "@cee: "})
	if err := b.Write(record()); err != nil {
		t.Fatal(err)
	}
	line := lines(t, path)[0]
	if strings.Contains(line, secret) || strings.Contains(line, "123456") || strings.Contains(line, "czNjcmV0") {
		t.Fatal(line)
	}
	hash, err := b.Hash("file", secret)
	if err != nil || strings.Count(line, hash) < 7 {
		t.Errorf("%s is there %d times, %v:\n%s", hash, strings.Count(line, hash), err, line)
	}
	var e map[string]any
	if err := json.Unmarshal([]byte(strings.TrimPrefix(line, "@cee: ")), &e); err != nil {
		t.Fatal(err)
	}
	request, response := e["request"].(map[string]any), e["response"].(map[string]any)
	if e["type"] != "response" || e["time"] != "2026-01-02T03:04:05Z" || request["path"] != "database/config/pg" ||
		request["data"].(map[string]any)["count"] != 7.0 || response["secret"].(map[string]any)["lease_id"] != "database/creds/app/1" {
		t.Error(line)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
}

// A password sent as a list stood in the file, quoted by whoever refused it.
func TestAnErrorDoesNotQuoteWhatAFieldCouldNotTake(t *testing.T) {
	fields := map[string]*framework.FieldSchema{"password": {Type: framework.TypeString}}
	data := &framework.FieldData{Raw: map[string]any{"password": []any{secret}}, Schema: fields}
	refusal := data.Validate()
	if refusal == nil || !strings.Contains(refusal.Error(), secret) {
		t.Fatalf("the SDK says %v", refusal)
	}
	b, _ := newBroker()
	path := filepath.Join(t.TempDir(), "audit.log")
	enable(t, b, "file", "file", map[string]string{"file_path": path})
	r := record()
	r.Err = refusal
	if err := b.Write(r); err != nil {
		t.Fatal(err)
	}
	if line := lines(t, path)[0]; strings.Contains(line, secret) || !strings.Contains(line, `unconvertible type '[]interface {}'"`) {
		t.Error(line)
	}
}

func TestOptionsOfAFormat(t *testing.T) {
	cases := map[string]struct {
		options     map[string]string
		has, hasNot string
	}{
		"raw":            {map[string]string{"log_raw": "true"}, `"password":"` + secret + `"`, "hmac-sha256"},
		"clear accessor": {map[string]string{"hmac_accessor": "false"}, `"accessor":"acc-` + secret + `"`, `"password":"` + secret},
		"lists":          {map[string]string{"elide_list_responses": "true"}, `"keys":2`, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			b, _ := newBroker()
			path := filepath.Join(t.TempDir(), "audit.log")
			c.options["file_path"] = path
			enable(t, b, "file", "file", c.options)
			r := record()
			r.Request.Operation = logical.ListOperation
			if err := b.Write(r); err != nil {
				t.Fatal(err)
			}
			line := lines(t, path)[0]
			if !strings.Contains(line, c.has) || c.hasNot != "" && strings.Contains(line, c.hasNot) {
				t.Error(line)
			}
		})
	}
}

// broken is a device that fails.
type broken struct{}

func (broken) write([]byte) error { return errors.New("disk full") }
func (broken) reopen() error      { return nil }
func (broken) close() error       { return nil }

func TestOneDeviceThatTakesTheRecordIsEnough(t *testing.T) {
	b, _ := newBroker()
	if b.Active() || b.Write(record()) != nil {
		t.Error("without devices nothing can fail")
	}
	enable(t, b, "good", "file", map[string]string{"file_path": "discard"})
	enable(t, b, "bad", "file", map[string]string{"file_path": "discard"})
	b.devices["bad/"].sink = broken{}
	if err := b.Write(record()); err != nil {
		t.Error(err)
	}
	b.devices["good/"].sink = broken{}
	if err := b.Write(record()); err == nil {
		t.Error("no device took the record, and nobody is told")
	}
}

func TestAFileIsReopenedAfterItWasMovedAway(t *testing.T) {
	b, _ := newBroker()
	path := filepath.Join(t.TempDir(), "audit.log")
	enable(t, b, "file", "file", map[string]string{"file_path": path, "mode": "0640"})
	for _, step := range []func() error{
		func() error { return b.Write(record()) },
		func() error { return os.Rename(path, path+".1") },
		func() error { return b.Write(record()) },
		b.Reopen,
		func() error { return b.Write(record()) },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	if old, now := len(lines(t, path+".1")), len(lines(t, path)); old != 2 || now != 1 {
		t.Errorf("%d lines before, %d after", old, now)
	}
}

func TestARecordThatWasCutShortSpoilsNoOther(t *testing.T) {
	end, begin, err := os.Pipe() // it takes so much, and then no more
	if err != nil {
		t.Fatal(err)
	}
	defer end.Close()
	f, long := &file{file: begin}, []byte(strings.Repeat("x", 1<<20)+"\n")
	if err := begin.SetWriteDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if err := f.write(long); err == nil {
		t.Fatal("a pipe takes a megabyte")
	}
	if err := begin.SetWriteDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	got := make(chan string)
	go func() {
		text, _ := io.ReadAll(end)
		got <- strings.TrimLeft(string(text), "x")
	}()
	for _, line := range []string{"two\n", "three\n"} {
		if err := f.write([]byte(line)); err != nil {
			t.Error(err)
		}
	}
	if err := f.close(); err != nil {
		t.Error(err)
	}
	if lines := <-got; lines != "\ntwo\nthree\n" {
		t.Errorf("after what was cut short come %q", lines)
	}
}

func TestDevicesSurviveARestartWithTheirSalt(t *testing.T) {
	b, storage := newBroker()
	path := filepath.Join(t.TempDir(), "audit.log")
	enable(t, b, "file/", "file", map[string]string{"file_path": path})
	before, _ := b.Hash("file", secret)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	again := New(storage, hclog.NewNullLogger())
	if err := again.Restore(t.Context()); err != nil {
		t.Fatal(err)
	}
	after, err := again.Hash("file", secret)
	if err != nil || before != after {
		t.Errorf("%s, then %s, %v", before, after, err)
	}
	if err := again.Disable(t.Context(), "file"); err != nil || again.Active() {
		t.Error(err)
	}
	last := New(storage, hclog.NewNullLogger())
	if err := last.Restore(t.Context()); err != nil || last.Active() {
		t.Error("a disabled device came back", err)
	}
}

func TestDevicesThatCannotBe(t *testing.T) {
	b, _ := newBroker()
	enable(t, b, "taken", "file", map[string]string{"file_path": "discard"})
	cases := map[string]Device{
		"already in use":                {Path: "taken", Type: "file", Options: map[string]string{"file_path": "discard"}},
		"unknown type":                  {Path: "x", Type: "fax"},
		"file_path is missing":          {Path: "x", Type: "file"},
		"use json":                      {Path: "x", Type: "file", Options: map[string]string{"file_path": "discard", "format": "jsonx"}},
		`unknown option "file_pat"`:     {Path: "x", Type: "file", Options: map[string]string{"file_pat": "y"}},
		"neither true nor false":        {Path: "x", Type: "file", Options: map[string]string{"file_path": "discard", "log_raw": "perhaps"}},
		"octal digits":                  {Path: "x", Type: "file", Options: map[string]string{"file_path": "discard", "mode": "rw"}},
		"address is missing":            {Path: "x", Type: "socket"},
		"use tcp, udp or unix":          {Path: "x", Type: "socket", Options: map[string]string{"address": "a", "socket_type": "pigeon"}},
		"use one word":                  {Path: "a/../b", Type: "file"},
		`facility: "NOWHERE" is none`:   {Path: "x", Type: "syslog", Options: map[string]string{"facility": "nowhere"}},
		"write_timeout: \"soon\" is no": {Path: "x", Type: "socket", Options: map[string]string{"address": "a", "write_timeout": "soon"}},
	}
	for want, d := range cases {
		if err := b.Enable(t.Context(), d); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// deaf returns an address that takes no more connections and refuses none.
func deaf(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := errors.Join(syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), syscall.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	bound, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(bound.(*syscall.SockaddrInet4).Port))
	for range 10 {
		conn, err := net.DialTimeout("tcp", address, 200*time.Millisecond)
		if err != nil {
			return address
		}
		t.Cleanup(func() { conn.Close() })
	}
	t.Fatal("the system accepts connections without end")
	return ""
}

// Every request waited until the new device answered or its time was over.
func TestRequestsGoOnWhileADeviceIsOpened(t *testing.T) {
	b, _ := newBroker()
	enable(t, b, "file", "file", map[string]string{"file_path": "discard"})
	silent := Device{Path: "silent", Type: "socket", Options: map[string]string{"address": deaf(t), "write_timeout": "2s"}}
	enabled := make(chan error, 1)
	begun := time.Now()
	go func() { enabled <- b.Enable(t.Context(), silent) }()
	var longest time.Duration
	for {
		before := time.Now()
		if err := b.Write(record()); err != nil {
			t.Fatal(err)
		}
		longest = max(longest, time.Since(before))
		select {
		case err := <-enabled:
			if took := time.Since(begun); err == nil || took < 2*time.Second || longest > took/2 {
				t.Errorf("opening ended after %s with %v; a record took up to %s", took, err, longest)
			}
			return
		case <-time.After(time.Millisecond):
		}
	}
}

func TestAPathIsGivenToOneDeviceOnly(t *testing.T) {
	b, _ := newBroker()
	results := make(chan error)
	for range 10 {
		go func() {
			results <- b.Enable(t.Context(), Device{Path: "file", Type: "file", Options: map[string]string{"file_path": "discard"}})
		}()
	}
	enabled := 0
	for range 10 {
		if err := <-results; err == nil {
			enabled++
		}
	}
	if enabled != 1 || len(b.Devices()) != 1 {
		t.Errorf("%d were enabled, there are %v", enabled, b.Devices())
	}
}

func TestNoDeviceIsEnabledOnceTheServerStops(t *testing.T) {
	b, storage := newBroker()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	err := b.Enable(t.Context(), Device{Path: "file", Type: "file", Options: map[string]string{"file_path": "discard"}})
	if kept, _ := storage.List(t.Context(), ""); !errors.Is(err, errClosed) || b.Active() || len(kept) > 0 {
		t.Errorf("%v, active %v, kept %q", err, b.Active(), kept)
	}
}

// The server stood still until somebody read it.
func TestAFIFOThatNobodyReadsIsRefusedAtOnce(t *testing.T) {
	b, _ := newBroker()
	path := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	device := Device{Path: "fifo", Type: "file", Options: map[string]string{"file_path": path}}
	refused := make(chan error, 1)
	go func() { refused <- b.Enable(t.Context(), device) }()
	select {
	case err := <-refused:
		if !errors.Is(err, ErrInvalid) {
			t.Fatal(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it waits for a reader")
	}
	reader, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if err := b.Enable(t.Context(), device); err != nil {
		t.Fatal(err)
	}
	if err := b.Write(record()); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(reader).ReadString('\n'); err != nil || !strings.HasSuffix(line, "}\n") {
		t.Errorf("%q, %v", line, err)
	}
}

func TestASocketIsReachedAgainAfterItWasGone(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	got := make(chan string)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			line, _ := bufio.NewReader(conn).ReadString('\n')
			_ = conn.(*net.TCPConn).SetLinger(0) // gone at once
			conn.Close()
			got <- line
		}
	}()
	b, _ := newBroker()
	enable(t, b, "socket", "socket", map[string]string{"address": listener.Addr().String()})
	for range 3 {
		deadline := time.After(10 * time.Second)
		for received := false; !received; { // what is written into a dying connection is lost
			if err := b.Write(record()); err != nil {
				t.Fatal(err)
			}
			select {
			case line := <-got:
				received = strings.HasSuffix(line, "}\n")
			case <-time.After(50 * time.Millisecond):
			case <-deadline:
				t.Fatal("nothing arrives")
			}
		}
	}
}

// Every record waited for the dead device in turn, though another one had it.
func TestADeadDeviceDelaysFewRecords(t *testing.T) {
	b, _ := newBroker()
	var log bytes.Buffer
	b.logger = hclog.New(&hclog.LoggerOptions{Output: &log})
	enable(t, b, "good", "file", map[string]string{"file_path": "discard"})
	enable(t, b, "dead", "file", map[string]string{"file_path": "discard"})
	dead := b.devices["dead/"]
	dead.sink = &socket{network: "tcp", address: deaf(t), timeout: 50 * time.Millisecond}
	if err := b.Write(record()); err != nil || time.Now().After(dead.rests) {
		t.Fatalf("a device that takes nothing is asked again and again: %v", err)
	}
	if !strings.Contains(log.String(), "it is spared records") || !strings.Contains(log.String(), "device=dead/") {
		t.Errorf("the log says %q", log.String())
	}
	count := &counted{}
	dead.sink = count
	if err := b.Write(record()); err != nil || count.lines != 0 {
		t.Errorf("a device that rests got %d records: %v", count.lines, err)
	}
	b.devices["good/"].sink = broken{}
	if err := b.Write(record()); err != nil || count.lines != 1 {
		t.Errorf("where no other takes it, it got %d records: %v", count.lines, err)
	}
	if err := b.Reopen(); err != nil || time.Now().Before(dead.rests) {
		t.Errorf("SIGHUP does not have it tried again: %v", err)
	}
}

// counted is a device that counts its records.
type counted struct{ lines int }

func (c *counted) write([]byte) error { c.lines++; return nil }
func (c *counted) reopen() error      { return nil }
func (c *counted) close() error       { return nil }

func TestAReaderThatHangsDoesNotStallTheServer(t *testing.T) {
	b, _ := newBroker()
	path := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(path, 0o644); err != nil {
		t.Fatal(err)
	}
	reader, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	enable(t, b, "fifo", "file", map[string]string{"file_path": path})
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("the mode of what is no file was changed: %v, %v", info.Mode(), err)
	}
	for range 10_000 {
		if b.Write(record()) != nil {
			return
		}
	}
	t.Error("a pipe takes everything")
}

func TestSyslogGetsLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	conn, err := net.ListenPacket("unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	at := []place{{"unixgram", filepath.Join(t.TempDir(), "none")}, {"unixgram", path}}
	got, err := openSyslog(at, "LOCAL3", "securevault")
	if err != nil {
		t.Fatal(err)
	}
	defer got.close()
	if err := got.write([]byte(`{"type":"request"}` + "\n")); err != nil {
		t.Fatal(err)
	}
	datagram := make([]byte, 1024)
	n, _, err := conn.ReadFrom(datagram)
	if err != nil || !strings.HasPrefix(string(datagram[:n]), "<158>") || !strings.Contains(string(datagram[:n]), `securevault[`) {
		t.Errorf("%q %v", datagram[:n], err)
	}
	got.(journal).timeout = 50 * time.Millisecond
	for range 10_000 { // which nobody reads
		if err = got.write(make([]byte, 1024)); err != nil {
			break
		}
	}
	if late, ok := errors.AsType[net.Error](err); !ok || !late.Timeout() {
		t.Errorf("syslog that hangs: %v", err)
	}
}
