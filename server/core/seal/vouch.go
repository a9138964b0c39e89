package seal

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"sync"
	"time"
)

const (
	// voucherLife is for how long a voucher is good, and by how much the clocks
	// of two servers may differ.
	voucherLife = time.Minute
	// voucherPurpose is what the keys of vouchers are made for.
	voucherPurpose = "securevault voucher"

	nonceAt     = 4 + 8 // after the number of the data key, and the time
	proofAt     = nonceAt + 16
	voucherSize = proofAt + sha256.Size
)

// vouchers remembers the nonces of those that were used, for at least as long
// as they could be used again.
type vouchers struct {
	mu     sync.Mutex
	used   map[[16]byte]bool // guarded by mu; since the time of since
	before map[[16]byte]bool // guarded by mu; in the memory before that
	since  time.Time         // guarded by mu
}

// memory is how long a nonce can be good for: a voucher may come from a clock
// that is ahead.
const memory = 2 * voucherLife

// Vouch returns a voucher for message: it shows another server with the same
// keys, once and within a minute, that one of them said it. Nobody can make one
// without the keys of an unsealed server.
func (s *Seal) Vouch(message []byte) ([]byte, error) {
	b := s.barrier
	b.gate.RLock() // the keys are not wiped meanwhile
	defer b.gate.RUnlock()
	ring := b.keys.Load()
	if ring == nil {
		return nil, ErrSealed
	}
	voucher := binary.BigEndian.AppendUint32(nil, ring.newest().Number)
	voucher = binary.BigEndian.AppendUint64(voucher, uint64(time.Now().Unix()))
	voucher = append(voucher, make([]byte, proofAt-nonceAt)...)
	rand.Read(voucher[nonceAt:])
	proof, err := ring.newest().proof(voucher, message)
	return append(voucher, proof...), err
}

// CheckVoucher returns an error unless voucher is one for message that is used
// for the first time.
func (s *Seal) CheckVoucher(message, voucher []byte) error {
	if len(voucher) != voucherSize {
		return fmt.Errorf("%w: a voucher has %d bytes, not %d", ErrInvalid, voucherSize, len(voucher))
	}
	if err := s.checkProof(message, voucher); err != nil {
		return err
	}
	made := time.Unix(int64(binary.BigEndian.Uint64(voucher[4:])), 0)
	if off := time.Since(made); off.Abs() > voucherLife {
		return fmt.Errorf("%w: the voucher was made %s ago: check the clocks of the servers", ErrInvalid, off.Round(time.Second))
	}
	if !s.vouchers.use([16]byte(voucher[nonceAt:])) {
		return fmt.Errorf("%w: the voucher was used before", ErrInvalid)
	}
	return nil
}

func (s *Seal) checkProof(message, voucher []byte) error {
	b := s.barrier
	b.gate.RLock()
	defer b.gate.RUnlock()
	ring := b.keys.Load()
	if ring == nil {
		return ErrSealed
	}
	number := binary.BigEndian.Uint32(voucher)
	if number == 0 || uint64(number) > uint64(len(ring.Keys)) {
		return errForeignVoucher()
	}
	proof, err := ring.Keys[number-1].proof(voucher[:proofAt], message)
	if err != nil {
		return err
	}
	if !hmac.Equal(proof, voucher[proofAt:]) {
		return errForeignVoucher()
	}
	return nil
}

func errForeignVoucher() error {
	return fmt.Errorf("%w: the voucher was not made by a server with these keys, or not for this", ErrInvalid)
}

// proof authenticates a message with the beginning of its voucher.
func (k dataKey) proof(beginning, message []byte) ([]byte, error) {
	key, err := hkdf.Key(sha256.New, k.Key, nil, voucherPurpose, keySize)
	if err != nil {
		return nil, fmt.Errorf("deriving a key: %w", err)
	}
	defer clear(key)
	mac := hmac.New(sha256.New, key)
	mac.Write(beginning) // of constant length, so the two cannot be confused
	mac.Write(message)
	return mac.Sum(nil), nil
}

// use returns false if nonce was used before.
func (v *vouchers) use(nonce [16]byte) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if age := time.Since(v.since); v.used == nil || age >= memory {
		v.before = v.used
		if age >= 2*memory {
			v.before = nil
		}
		v.used, v.since = map[[16]byte]bool{}, time.Now()
	}
	if v.used[nonce] || v.before[nonce] {
		return false
	}
	v.used[nonce] = true
	return true
}
