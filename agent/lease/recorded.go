package lease

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/novatech/securevault/agent/state"
	"github.com/novatech/securevault/internal/vault"
)

// Recorded returns the wants for which an earlier run left something in a
// journal that has not ended by now: the next start takes it over.
func Recorded(records []state.Record, now time.Time) map[vault.Want]bool {
	held := make(map[vault.Want]bool)
	for _, r := range records {
		if !strings.HasPrefix(r.Key, leasedPrefix) && !strings.HasPrefix(r.Key, secretPrefix) {
			continue
		}
		var e entryRecord
		if json.Unmarshal(r.Value, &e) == nil && (e.TTL == 0 || now.Before(e.Granted.Add(e.TTL))) {
			held[e.Want] = true
		}
	}
	return held
}
