package core_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/core/coretest"
	"github.com/novatech/securevault/server/core/mount"
)

func TestAMountIsMovedWithWhatItStoredAndNothingItGaveOut(t *testing.T) {
	s := coretest.Start(t, nil)
	s.Must(t, coretest.Root, logical.UpdateOperation, "fake/notes/kept", map[string]any{"note": "text"})
	s.Must(t, coretest.Root, logical.ReadOperation, "fake/creds/app", nil)
	moved := s.Must(t, coretest.Root, logical.UpdateOperation, "sys/remount", map[string]any{"from": "fake", "to": "team/fake/"})
	if s.Engine.Live() != 0 {
		t.Errorf("%d credentials live on under ids of the old path", s.Engine.Live())
	}
	status := s.Must(t, coretest.Root, logical.ReadOperation, "sys/remount/status/"+moved.Data["migration_id"].(string), nil)
	if info := status.Data["migration_info"].(map[string]any); info["status"] != "success" || info["target_mount"] != "team/fake/" {
		t.Errorf("status %v", status.Data)
	}
	if note := s.Must(t, coretest.Root, logical.ReadOperation, "team/fake/notes/kept", nil); note.Data["note"] != "text" {
		t.Errorf("at the new path: %v", note.Data)
	}
	if _, err := s.Do(t, coretest.Root, logical.ReadOperation, "fake/notes/kept", nil); err == nil {
		t.Error("the old path still answers")
	}
	lease := s.Must(t, coretest.Root, logical.ReadOperation, "team/fake/creds/app", nil)
	if !strings.HasPrefix(lease.Secret.LeaseID, "team/fake/creds/app/") {
		t.Errorf("lease id %q", lease.Secret.LeaseID)
	}
}

func TestMovesThatCannotBeChangeNothing(t *testing.T) {
	s := coretest.Start(t, nil)
	s.Must(t, coretest.Root, logical.UpdateOperation, "sys/mounts/other", map[string]any{"type": "fake"})
	s.Must(t, coretest.Root, logical.ReadOperation, "fake/creds/app", nil)
	for name, x := range map[string]struct {
		from, to string
		want     error
	}{
		"from nowhere":       {"nowhere", "x", mount.ErrNotFound},
		"over another":       {"fake", "other", mount.ErrInvalid},
		"below another":      {"fake", "other/fake", mount.ErrInvalid},
		"climbing":           {"fake", "../fake", mount.ErrInvalid},
		"to a reserved path": {"fake", "sys/fake", mount.ErrInvalid},
		"to an auth method":  {"fake", "auth/fake", mount.ErrInvalid},
		"of the server":      {"sys", "x", mount.ErrInvalid},
	} {
		_, err := s.Do(t, coretest.Root, logical.UpdateOperation, "sys/remount", map[string]any{"from": x.from, "to": x.to})
		if !errors.Is(err, x.want) {
			t.Errorf("%s: %v; want %v", name, err, x.want)
		}
	}
	if s.Engine.Live() != 1 {
		t.Errorf("%d credentials; want the one there was", s.Engine.Live())
	}
	s.Must(t, coretest.Root, logical.ReadOperation, "fake/creds/app", nil)
}
