package backup_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/novatech/securevault/server/store/backup"
)

var entries = [][2]string{{"core/policy/app", "one"}, {"core/empty", ""}, {"seal/keys", strings.Repeat("k", 5000)}}

func written(t testing.TB) []byte {
	t.Helper()
	var file bytes.Buffer
	w, err := backup.NewWriter(&file, backup.Header{Created: time.Unix(1e9, 0).UTC(), Version: "1.2.3", Storage: "file"})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if err := w.Put(e[0], []byte(e[1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

func TestABackupIsReadAsItWasWritten(t *testing.T) {
	r, err := backup.NewReader(bytes.NewReader(written(t)))
	if err != nil {
		t.Fatal(err)
	}
	if r.Header.Version != "1.2.3" || r.Header.Storage != "file" || r.Header.Created.Unix() != 1e9 {
		t.Errorf("header %+v", r.Header)
	}
	for _, want := range entries {
		key, value, err := r.Next()
		if err != nil || key != want[0] || string(value) != want[1] {
			t.Errorf("%q %d bytes %v, want %q", key, len(value), err, want[0])
		}
	}
	if _, _, err := r.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
}

func TestEveryChangeOfABackupIsNoticed(t *testing.T) {
	whole := written(t)
	for i := range whole {
		altered := bytes.Clone(whole)
		altered[i] ^= 1
		if _, _, err := backup.Check(bytes.NewReader(altered)); !errors.Is(err, backup.ErrDamaged) {
			t.Fatalf("byte %d altered: %v", i, err)
		}
		if _, _, err := backup.Check(bytes.NewReader(whole[:i])); !errors.Is(err, backup.ErrDamaged) {
			t.Fatalf("cut to %d bytes: %v", i, err)
		}
	}
	if _, _, err := backup.Check(bytes.NewReader(append(bytes.Clone(whole), 0))); !errors.Is(err, backup.ErrDamaged) {
		t.Errorf("lengthened: %v", err)
	}
	if _, n, err := backup.Check(bytes.NewReader(whole)); n != 3 || err != nil {
		t.Errorf("unaltered: %d, %v", n, err)
	}
}

func TestDamageIsNamed(t *testing.T) {
	whole := written(t)
	at := bytes.Index(whole, []byte("one"))
	altered := bytes.Clone(whole)
	altered[at] = 'O'
	for want, file := range map[string][]byte{
		`the entry "core/policy/app" was altered`:    altered,
		"it was cut short":                           whole[:len(whole)-sha256.Size],
		"does not begin as a backup of this program": []byte("PK\x03\x04"),
	} {
		if _, _, err := backup.Check(bytes.NewReader(file)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q", err, want)
		}
	}
}

func TestAFileThatCannotBeReadIsNotCalledDamaged(t *testing.T) {
	failing := io.MultiReader(bytes.NewReader(written(t)[:60]), failingReader{})
	if _, _, err := backup.Check(failing); !errors.Is(err, errDisk) || errors.Is(err, backup.ErrDamaged) {
		t.Errorf("%v", err)
	}
}

var errDisk = errors.New("the disk fails")

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, errDisk }

func FuzzReader(f *testing.F) {
	whole := written(f)
	f.Add(whole)
	f.Add(whole[:100])
	f.Add([]byte("securevault backup 1\n\x02{}\x00\x00"))
	f.Add([]byte("securevault backup 1\n\x02{}\xff\xff\xff\xff\x0f"))
	f.Fuzz(func(t *testing.T, file []byte) {
		if _, _, err := backup.Check(bytes.NewReader(file)); err == nil {
			return
		} else if !errors.Is(err, backup.ErrDamaged) {
			t.Fatalf("%v", err)
		}
	})
}
