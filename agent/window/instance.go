package window

import (
	"crypto/sha256"
	"encoding/binary"
	"os"
	"strings"
	"time"
)

// machineIDFile holds what tells machines apart.
const machineIDFile = "/etc/machine-id"

// Instance tells the agents of a fleet apart, and stays the same when one is
// started again.
type Instance struct{ seed uint64 }

// ThisInstance is the instance of this process: of its machine, its host name,
// and its pod if POD_NAME, POD_NAMESPACE or POD_UID tell of one. What cannot
// be known does not count: images may share a machine id, or lack one, but
// their pods have names.
func ThisInstance(getenv func(name string) string) Instance {
	machine, _ := os.ReadFile(machineIDFile)
	host, _ := os.Hostname()
	return NewInstance(strings.TrimSpace(string(machine)), host, getenv("POD_NAMESPACE"), getenv("POD_NAME"), getenv("POD_UID"))
}

// NewInstance is the instance that some names tell apart. They cannot be
// learned from it: a machine id is not for others to know.
func NewInstance(names ...string) Instance {
	sum := sha256.Sum256([]byte("securevault instance\x00" + strings.Join(names, "\x00")))
	return Instance{binary.BigEndian.Uint64(sum[:])}
}

// Splay returns how long this instance waits where each waits at most for
// limit, so that the fleet is spread evenly over that time: from 0 to just
// below limit, and always the same.
func (i Instance) Splay(limit time.Duration) time.Duration {
	if limit <= 0 {
		return 0
	}
	return time.Duration(float64(limit) * (float64(i.seed>>11) / (1 << 53)))
}
