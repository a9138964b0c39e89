package auth

import (
	"encoding/json"

	"github.com/novatech/securevault/agent/state"
	"github.com/novatech/securevault/internal/vault"
)

// Recorded returns the token that an earlier run left in a journal, "" for
// none. Whether it is alive is not known.
func Recorded(records []state.Record) vault.Sensitive {
	record, _ := recordedIn(records)
	return vault.Sensitive(record.Token)
}

func recordedIn(records []state.Record) (record tokenRecord, ok bool) {
	for _, r := range records {
		if r.Key == tokenKey {
			return record, json.Unmarshal(r.Value, &record) == nil
		}
	}
	return tokenRecord{}, false
}
