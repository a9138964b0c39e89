package oraclestandin

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

const (
	functionChallenge = 0x76
	functionLogin     = 0x73

	verifierType    = 18453 // 12c: PBKDF2 and SHA-512
	iterations      = 4096  // of the verifier: the least that clients accept
	keyIterations   = 3     // of the key under which the password is sent
	saltSize        = 16    // bytes
	sessionKeySize  = 32    // bytes, as all keys of AES-256
	speedyKeyLength = 64    // bytes
)

// verifier is what the server keeps of a password.
type verifier struct {
	salt []byte
	hash [sha512.Size]byte // of the speedy key and the salt
}

// random returns bytes that nobody can guess.
func random(size int) []byte {
	made := make([]byte, size)
	rand.Read(made)
	return made
}

// newVerifier derives the speedy key of a password, which takes a few
// milliseconds; clients send it along so that a login does not have to.
func newVerifier(password string) verifier {
	salt := random(saltSize)
	speedy, err := pbkdf2.Key(sha512.New, password, append(bytes.Clone(salt), "AUTH_PBKDF2_SPEEDY_KEY"...), iterations, speedyKeyLength)
	if err != nil {
		panic(err) // only a key that is too short for FIPS 140 fails
	}
	return verifier{salt, hashOf(speedy, salt)}
}

func hashOf(speedy, salt []byte) [sha512.Size]byte {
	return sha512.Sum512(append(bytes.Clone(speedy), salt...))
}

// key is the one under which both sides send their halves of the session key.
func (v verifier) key() []byte { return v.hash[:sessionKeySize] }

// encrypt is AES in CBC mode without padding or initialization vector, in
// hexadecimal digits.
func encrypt(key, text []byte) string {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // the keys have a fixed size
	}
	out := make([]byte, len(text))
	cipher.NewCBCEncrypter(block, make([]byte, aes.BlockSize)).CryptBlocks(out, text)
	return strings.ToUpper(hex.EncodeToString(out))
}

// decrypt undoes encrypt.
func decrypt(key []byte, text string) ([]byte, error) {
	sealed, err := hex.DecodeString(text)
	if err != nil || len(sealed) == 0 || len(sealed)%aes.BlockSize != 0 {
		return nil, errMalformed
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	out := make([]byte, len(sealed))
	cipher.NewCBCDecrypter(block, make([]byte, aes.BlockSize)).CryptBlocks(out, sealed)
	return out, nil
}

// challenge is what the server has sent to a client that wants to log in.
type challenge struct {
	user     string
	verifier verifier
	half     []byte // the server's of the session key
	salt     []byte // of the key under which the password is sent
}

// fold returns a name as Oracle knows it.
func fold(name string) string {
	if plain, ok := strings.CutPrefix(name, `"`); ok {
		return strings.TrimSuffix(plain, `"`)
	}
	return strings.ToUpper(name)
}

// challenge reads the name of who wants to log in, and answers. Somebody who
// does not exist gets an answer like all others.
func (d *database) challenge(r *reader) (challenge, *message, error) {
	r.expect(messageFunction, functionChallenge, 0, 1)
	length := r.integer()
	r.integer() // the mode
	r.expect(1)
	pairs := r.integer()
	r.expect(1, 1)
	name := string(r.text())
	r.pairs(pairs)
	if err := r.end(); err != nil || len(name) != length {
		return challenge{}, nil, errMalformed
	}
	made := challenge{user: fold(name), half: random(sessionKeySize), salt: random(saltSize)}
	d.mu.Lock()
	user := d.user(made.user)
	if user != nil {
		made.verifier = user.verifier
	}
	d.mu.Unlock()
	if user == nil {
		made.verifier = verifier{salt: random(saltSize), hash: [sha512.Size]byte(random(sha512.Size))}
	}
	return made, made.message(), nil
}

func (c challenge) message() *message {
	m := &message{}
	m.byte(messageReturn)
	m.integers(5)
	m.pairs([2]string{"AUTH_SESSKEY", encrypt(c.verifier.key(), c.half)})
	m.counted("AUTH_VFR_DATA")
	m.counted(strings.ToUpper(hex.EncodeToString(c.verifier.salt)))
	m.integers(verifierType)
	m.pairs([2]string{"AUTH_PBKDF2_CSK_SALT", strings.ToUpper(hex.EncodeToString(c.salt))},
		[2]string{"AUTH_PBKDF2_VGEN_COUNT", strconv.Itoa(iterations)},
		[2]string{"AUTH_PBKDF2_SDER_COUNT", strconv.Itoa(keyIterations)})
	m.end(0, "", 0, 0)
	return m
}

// login reads the answer to a challenge and begins a session.
func (d *database) login(r *reader, c challenge, end func()) (*session, *message, error) {
	r.expect(messageFunction, functionLogin, 0, 1)
	length := r.integer()
	r.integer() // the mode
	r.expect(1)
	count := r.integer()
	r.expect(1, 1)
	name := string(r.text())
	pairs := r.pairs(count)
	if err := r.end(); err != nil || len(name) != length || fold(name) != c.user {
		return nil, nil, errMalformed
	}
	combined, err := c.open(pairs)
	if err != nil {
		return nil, nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	user := d.user(c.user)
	switch {
	case user == nil || combined == nil:
		return nil, nil, refuse(1017, "invalid username/password; logon denied")
	case user.locked:
		return nil, nil, refuse(28000, "the account is locked")
	case !d.may(c.user, "CREATE SESSION"):
		return nil, nil, refuse(1045, "user %s lacks CREATE SESSION privilege; logon denied", c.user)
	}
	begun := d.begin(c.user, pairs["AUTH_PROGRAM_NM"], end)
	return begun, begun.greeting(combined), nil
}

// open returns the session key of a client that proves to know the password,
// nil if it does not.
func (c challenge) open(pairs map[string]string) ([]byte, error) {
	half, err := decrypt(c.verifier.key(), pairs["AUTH_SESSKEY"])
	if err != nil || len(half) != sessionKeySize {
		return nil, errMalformed
	}
	both := fmt.Sprintf("%X%X", half, c.half)
	combined, err := pbkdf2.Key(sha512.New, both, c.salt, keyIterations, sessionKeySize)
	if err != nil {
		return nil, err
	}
	speedy, err := decrypt(combined, pairs["AUTH_PBKDF2_SPEEDY_KEY"])
	if err != nil || len(speedy) != aes.BlockSize+speedyKeyLength {
		return nil, errMalformed
	}
	// The password itself is sent as well; the speedy key saves us hashing it.
	if _, err := decrypt(combined, pairs["AUTH_PASSWORD"]); err != nil {
		return nil, errMalformed
	}
	hash := hashOf(speedy[aes.BlockSize:], c.verifier.salt)
	if subtle.ConstantTimeCompare(hash[:], c.verifier.hash[:]) == 0 {
		return nil, nil
	}
	return combined, nil
}

// greeting tells a client of its session: that the server knows the password
// too, its number, and the language.
func (s *session) greeting(key []byte) *message {
	m := &message{}
	m.byte(messageReturn)
	properties := [][2]string{
		{"AUTH_VERSION_STRING", "- 64bit Production"},
		{"AUTH_SESSION_ID", strconv.Itoa(s.sid)},
		{"AUTH_SERIAL_NUM", strconv.Itoa(s.serial)},
		{"AUTH_SC_SERVICE_NAME", Service},
		{"AUTH_SVR_RESPONSE", encrypt(key, append(random(aes.BlockSize), "SERVER_TO_CLIENT"...))},
	}
	m.integers(len(properties))
	m.pairs(properties...)
	m.byte(messageNetwork, 5) // what follows are the settings of the language
	m.integers(0)
	m.byte(0)
	m.integers(1)
	m.byte(0)
	m.pairs([2]string{"AUTH_NLS_LXLAN", "AMERICAN"})
	m.integers(0)
	m.end(0, "", 0, 0)
	return m
}
