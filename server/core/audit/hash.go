package audit

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"
)

// hash returns what stands for a secret: its HMAC under the salt, so that it
// can be recognized by who knows it and not be found by who does not.
func (f *format) hash(secret string) string {
	mac := hmac.New(sha256.New, f.salt)
	mac.Write([]byte(secret))
	return "hmac-sha256:" + hex.EncodeToString(mac.Sum(nil))
}

// hide is hash, of something at all and unless the device wants it raw.
func (f *format) hide(secret string) string {
	if secret == "" || f.raw {
		return secret
	}
	return f.hash(secret)
}

// hideAll returns a copy of data with every text hidden. Names stay; so do
// numbers that the server counted, truth values and times.
func (f *format) hideAll(data map[string]any) map[string]any {
	if data == nil || f.raw {
		return data
	}
	hidden := make(map[string]any, len(data))
	for name, value := range data {
		hidden[name] = f.hideValue(value)
	}
	return hidden
}

func (f *format) hideValue(value any) any {
	switch v := value.(type) {
	case nil, bool, int, int32, int64, uint, uint32, uint64, float32, float64, time.Time, time.Duration:
		return v
	case string:
		return f.hide(v)
	case []byte:
		return f.hide(string(v))
	case json.Number: // a client's, and may be a PIN
		return f.hide(v.String())
	case map[string]any:
		return f.hideAll(v)
	case []any:
		hidden := make([]any, len(v))
		for i, item := range v {
			hidden[i] = f.hideValue(item)
		}
		return hidden
	}
	return f.hideEncoded(value)
}

// hideEncoded hides a value of a type of its own as it would be encoded.
func (f *format) hideEncoded(value any) any {
	text, err := json.Marshal(value)
	if err != nil {
		return f.hide(fmt.Sprint(value))
	}
	var plain any
	if err := json.Unmarshal(text, &plain); err != nil {
		return f.hide(string(text))
	}
	return f.hideValue(plain)
}
