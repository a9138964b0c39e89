package seal

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/novatech/securevault/server/store/inmem"
)

func TestDamagedEntriesAreNamed(t *testing.T) {
	below := inmem.New()
	sealed, _ := initialized(t, below, single)
	barrier := sealed.Barrier()
	put(t, barrier, "a/one", "first")
	put(t, barrier, "a/two", "second")
	good, other := raw(t, below, "a/one"), raw(t, below, "a/two")
	changed := func(at int) []byte {
		entry := bytes.Clone(good)
		entry[(at+len(entry))%len(entry)] ^= 1
		return entry
	}
	for name, c := range map[string]struct {
		entry []byte
		why   string
	}{
		"empty":                   {[]byte{}, "0 bytes are left of it"},
		"cut within the header":   {good[:10], "10 bytes are left of it"},
		"cut by one byte":         {good[:len(good)-1], "does not decrypt"},
		"longer by one byte":      {append(bytes.Clone(good), 0), "does not decrypt"},
		"a bit of the ciphertext": {changed(-1), "does not decrypt"},
		"a bit of the nonce":      {changed(headerSize), "does not decrypt"},
		"a bit of the sequence":   {changed(headerSize - 1), "does not decrypt"},
		"another format":          {changed(0), "its format is 0"},
		"an unknown data key":     {changed(2), "data key 65537 encrypted it, but the keyring ends with 1"},
		"swapped with another":    {other, "copied from another key"},
		"plain text":              {[]byte("{\"plain\":\"text, long enough to look like an entry\"}"), "its format is 123"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := below.Put(t.Context(), "a/one", c.entry); err != nil {
				t.Fatal(err)
			}
			damaged(t, barrier, "a/one", c.why)
			damaged(t, barrier, "a/one", "restore it from a backup")
			mustGet(t, barrier, "a/two", "second")
		})
	}
	put(t, barrier, "a/one", "mended")
	mustGet(t, barrier, "a/one", "mended")
}

func TestEntriesThatWereRolledBackAreNamed(t *testing.T) {
	below := inmem.New()
	sealed, shares := initialized(t, below, single)
	const why = "it was rolled back"
	put(t, sealed.Barrier(), "policy", "allow")
	put(t, sealed.Barrier(), "token", "valid")
	put(t, sealed.Barrier(), "still", "here")
	policy, token := raw(t, below, "policy"), raw(t, below, "token")
	put(t, sealed.Barrier(), "policy", "deny")
	if err := sealed.Barrier().Delete(t.Context(), "token"); err != nil {
		t.Fatal(err)
	}
	rollBack := func(t *testing.T, on *Seal) {
		t.Helper()
		newest := raw(t, below, "policy")
		for key, old := range map[string][]byte{"policy": policy, "token": token} {
			if err := below.Put(t.Context(), key, old); err != nil {
				t.Fatal(err)
			}
			damaged(t, on.Barrier(), key, why)
		}
		if err := below.Put(t.Context(), "policy", newest); err != nil {
			t.Fatal(err)
		}
		if err := below.Delete(t.Context(), "token"); err != nil {
			t.Fatal(err)
		}
		mustGet(t, on.Barrier(), "policy", "deny")
		mustGet(t, on.Barrier(), "still", "here")
	}
	t.Run("while the server runs", func(t *testing.T) { rollBack(t, sealed) })
	t.Run("after a restart", func(t *testing.T) {
		if err := sealed.Barrier().Checkpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
		sealed.Seal()
		sealed = reopened(t, below, shares[0])
		rollBack(t, sealed)
	})
	t.Run("after a crash, for what an earlier checkpoint knew", func(t *testing.T) {
		put(t, sealed.Barrier(), "late", "written after the checkpoint")
		crashed := reopened(t, below, shares[0])
		rollBack(t, crashed)
		mustGet(t, crashed.Barrier(), "late", "written after the checkpoint")
	})
}

func TestWritesAfterTheLastCheckpointAreFoundAfterACrash(t *testing.T) {
	below := inmem.New()
	sealed, shares := initialized(t, below, single)
	put(t, sealed.Barrier(), "changed", "one")
	put(t, sealed.Barrier(), "deleted", "one")
	put(t, sealed.Barrier(), "kept", "one")
	if err := sealed.Barrier().Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	put(t, sealed.Barrier(), "changed", "two")
	put(t, sealed.Barrier(), "new", "two")
	if err := sealed.Barrier().Delete(t.Context(), "deleted"); err != nil {
		t.Fatal(err)
	}

	for range 3 { // crash after crash, each before its first checkpoint
		sealed = reopened(t, below, shares[0])
		mustGet(t, sealed.Barrier(), "changed", "two")
		mustGet(t, sealed.Barrier(), "deleted", "")
	}
	if err := sealed.Barrier().Survey(t.Context(), func(err error) { t.Error(err) }); err != nil {
		t.Fatal(err)
	}
	if err := sealed.Barrier().Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{"changed": "two", "new": "two", "kept": "one", "deleted": ""} {
		mustGet(t, sealed.Barrier(), key, want)
		mustGet(t, reopened(t, below, shares[0]).Barrier(), key, want)
	}
}

func TestASurveyReportsDamageAndGoesOn(t *testing.T) {
	below := inmem.New()
	sealed, shares := initialized(t, below, single)
	for _, key := range []string{"a/1", "a/b/2", "c"} {
		put(t, sealed.Barrier(), key, key)
	}
	for _, key := range []string{"a/b/2", "c"} {
		if err := below.Put(t.Context(), key, []byte("broken")); err != nil {
			t.Fatal(err)
		}
	}
	var found []string
	err := reopened(t, below, shares[0]).Barrier().Survey(t.Context(), func(err error) { found = append(found, err.Error()) })
	if err != nil || len(found) != 2 || !strings.Contains(found[0], `"a/b/2"`) || !strings.Contains(found[1], `"c"`) {
		t.Errorf("found %q, %v", found, err)
	}
}

func TestARecordThatWasChangedIsNamed(t *testing.T) {
	below := inmem.New()
	_, shares := initialized(t, below, Split{Shares: 3, Threshold: 2})
	good := raw(t, below, recordKey)
	for name, c := range map[string]struct {
		change func(*record)
		want   string
	}{
		"another threshold":     {func(r *record) { r.Threshold = 1; r.Shares = 1 }, "do not fit"},
		"a threshold too large": {func(r *record) { r.Threshold = 9 }, "incomplete"},
		"fewer shares":          {func(r *record) { r.Shares = 2 }, "the keyring does not decrypt"},
		"another root key":      {func(r *record) { r.Root[20] ^= 1 }, "do not fit"},
		"another keyring":       {func(r *record) { r.Keyring[20] ^= 1 }, "the keyring does not decrypt"},
		"a cut keyring":         {func(r *record) { r.Keyring = r.Keyring[:5] }, "the keyring does not decrypt"},
		"another format":        {func(r *record) { r.Format = 7 }, "its format is 7"},
		"another seal":          {func(r *record) { r.Type = "transit" }, `set the seal back to "transit"`},
	} {
		t.Run(name, func(t *testing.T) {
			r := new(record)
			if err := json.Unmarshal(good, r); err != nil {
				t.Fatal(err)
			}
			c.change(r)
			if err := r.write(t.Context(), below); err != nil {
				t.Fatal(err)
			}
			sealed := New(Settings{Store: below})
			_, err1 := sealed.Unseal(t.Context(), shares[0])
			opened, err2 := sealed.Unseal(t.Context(), shares[1])
			if err := errors.Join(err1, err2); opened || err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("opened %v, %v; want %q", opened, err, c.want)
			}
		})
	}
}

func FuzzOpenEntry(f *testing.F) {
	ring := newKeyring()
	good := ring.sealEntry("key", 1, []byte("value"))
	f.Add(good)
	f.Add(good[:headerSize])
	f.Add([]byte{})
	f.Add(append([]byte{entryFormat, 0, 0, 0, 9}, good[5:]...))
	f.Fuzz(func(t *testing.T, entry []byte) {
		value, _, err := ring.openEntry("key", entry)
		switch {
		case err == nil && !bytes.Equal(entry, good):
			t.Errorf("%x opens as %q", entry, value)
		case err != nil && !errors.Is(err, ErrDamaged):
			t.Errorf("%x: %v", entry, err)
		}
	})
}

func FuzzDecodeRecord(f *testing.F) {
	root := newKey()
	r := &record{Format: recordFormat, Type: Shamir, Split: single, Root: []byte("wrapped")}
	r.Keyring, _ = r.sealRing(root, newKeyring())
	good, _ := json.Marshal(r)
	f.Add(good)
	f.Add([]byte(`{"format":1,"type":"shamir","shares":-1,"threshold":0}`))
	f.Add([]byte("null"))
	f.Fuzz(func(t *testing.T, value []byte) {
		r, err := decodeRecord(value)
		if err != nil {
			if !errors.Is(err, ErrDamaged) {
				t.Errorf("%v", err)
			}
			return
		}
		if _, err := r.openRing(root); err != nil && !errors.Is(err, ErrDamaged) {
			t.Errorf("%v", err)
		}
	})
}

func FuzzDecodeKeyring(f *testing.F) {
	good, _ := json.Marshal(newKeyring().rotated(7))
	f.Add(good)
	f.Add([]byte(`{"keys":[{"number":2,"key":""}]}`))
	f.Add([]byte(`{"keys":[],"reserved":1}`))
	f.Fuzz(func(t *testing.T, plain []byte) {
		ring, err := decodeKeyring(plain)
		if err != nil {
			if !errors.Is(err, ErrDamaged) {
				t.Errorf("%v", err)
			}
			return
		}
		if value, sequence, err := ring.openEntry("k", ring.sealEntry("k", 3, []byte("v"))); err != nil || string(value) != "v" || sequence != 3 {
			t.Errorf("a keyring that decodes does not work: %q, %d, %v", value, sequence, err)
		}
	})
}

func FuzzDecodeStripe(f *testing.F) {
	full := &stripe{newest: map[uint64]uint64{1: 2, 3: 4}}
	f.Add(full.encode(9))
	f.Add([]byte("short"))
	f.Fuzz(func(t *testing.T, plain []byte) {
		s := &stripe{newest: map[uint64]uint64{}}
		if err := s.decode(plain); err == nil && len(s.newest) > len(plain)/lineSize {
			t.Errorf("%d lines from %d bytes", len(s.newest), len(plain))
		}
	})
}
