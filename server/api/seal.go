package api

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/novatech/securevault/server/core"
	"github.com/novatech/securevault/server/core/seal"
	"github.com/novatech/securevault/server/core/token"
)

// maxKeyBody bounds the body of a request about keys, in bytes.
const maxKeyBody = 64 << 10

// rootTokenSize is the length of a root token that the server makes up, in
// bytes: its prefix and 26 letters.
const rootTokenSize = len(token.Prefix) + 26

// Guard is what the holders of key shares act on. None of it needs a token.
type Guard interface {
	// Init makes keys and a root token; "" lets the server choose its id.
	Init(ctx context.Context, split seal.Split, root string) (core.Initial, error)
	Unseal(ctx context.Context, share []byte) error
	// Keys returns where new shares and root tokens are approved.
	Keys() *seal.Seal
	NewRootToken(ctx context.Context) (string, error)
}

// guardHandlers answer the holders of key shares: "METHOD path" → handler.
func guardHandlers(c Core) map[string]http.HandlerFunc {
	g := guard{c}
	handlers := map[string]http.HandlerFunc{
		"PUT sys/init":                     flatJSON(g.init),
		"PUT sys/unseal":                   flatJSON(g.unseal),
		"GET sys/generate-root/attempt":    flatJSON(g.rootStatus),
		"PUT sys/generate-root/attempt":    flatJSON(g.startRoot),
		"DELETE sys/generate-root/attempt": flatJSON(g.cancelRoot),
		"PUT sys/generate-root/update":     flatJSON(g.approveRoot),
	}
	for path, recovery := range map[string]bool{"sys/rekey": false, "sys/rekey-recovery-key": true} {
		r := rekeying{guard: g, recovery: recovery}
		handlers["GET "+path+"/init"] = flatJSON(r.status)
		handlers["PUT "+path+"/init"] = flatJSON(r.start)
		handlers["DELETE "+path+"/init"] = flatJSON(r.cancel)
		handlers["PUT "+path+"/update"] = flatJSON(r.approve)
		handlers["GET "+path+"/verify"] = flatJSON(r.verifyStatus)
		handlers["PUT "+path+"/verify"] = flatJSON(r.verify)
		handlers["DELETE "+path+"/verify"] = flatJSON(r.restartVerify)
	}
	for _, path := range []string{"sys/rekey/backup", "sys/rekey/recovery-key-backup"} {
		handlers["GET "+path] = flatJSON(noBackup)
		handlers["DELETE "+path] = flatJSON(func(context.Context, nothing) (nothing, error) { return nothing{}, nil })
	}
	return handlers
}

// nothing is a request without fields, or an answer without a body.
type nothing struct{}

// flatJSON serves a request and an answer that are plain JSON objects; an
// answer of type nothing is 204.
func flatJSON[Req, Resp any](answer func(context.Context, Req) (Resp, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var req Req
		err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxKeyBody)).Decode(&req)
		if err != nil && !errors.Is(err, io.EOF) {
			writeError(w, bodyError(err))
			return
		}
		resp, err := answer(r.Context(), req)
		if err != nil {
			writeError(w, err)
			return
		}
		if _, empty := any(resp).(nothing); empty {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		writeJSON(w, http.StatusOK, resp)
	}
}

// guard turns what clients send into calls of a Guard.
type guard struct{ core Core }

// splitRequest asks for a number of shares, in the names of sys/init and
// sys/rekey/init.
type splitRequest struct {
	Shares            int      `json:"secret_shares"`
	Threshold         int      `json:"secret_threshold"`
	RecoveryShares    int      `json:"recovery_shares"`
	RecoveryThreshold int      `json:"recovery_threshold"`
	PGPKeys           []string `json:"pgp_keys"`
	RecoveryPGPKeys   []string `json:"recovery_pgp_keys"`
	RootTokenPGPKey   string   `json:"root_token_pgp_key"`
	Verify            bool     `json:"require_verification"`
	Backup            bool     `json:"backup"`
}

// split returns what is asked for, and refuses what is not done rather than
// doing something else.
func (r splitRequest) split(recovery bool) (seal.Split, error) {
	switch {
	case len(r.PGPKeys)+len(r.RecoveryPGPKeys) > 0 || r.RootTokenPGPKey != "":
		return seal.Split{}, badRequest("keys are not encrypted with PGP here: leave the pgp_keys out, and encrypt each share for its holder")
	case r.Backup:
		return seal.Split{}, badRequest("the server keeps no shares of a key that they open: leave backup out, and write each share down")
	case recovery && r.RecoveryShares > 0:
		return seal.Split{Shares: r.RecoveryShares, Threshold: r.RecoveryThreshold}, nil
	}
	return seal.Split{Shares: r.Shares, Threshold: r.Threshold}, nil
}

// initAnswer is the answer of sys/init.
type initAnswer struct {
	Keys               []string `json:"keys"` // hexadecimal
	KeysBase64         []string `json:"keys_base64"`
	RecoveryKeys       []string `json:"recovery_keys,omitempty"`
	RecoveryKeysBase64 []string `json:"recovery_keys_base64,omitempty"`
	RootToken          string   `json:"root_token"`
}

func (g guard) init(ctx context.Context, req splitRequest) (*initAnswer, error) {
	recovery := g.core.Status().Seal.Recovery
	split, err := req.split(recovery)
	if err != nil {
		return nil, err
	}
	made, err := g.core.Init(ctx, split, "")
	if err != nil {
		return nil, err
	}
	inHex, inBase64 := encodeShares(made.Shares)
	if recovery {
		return &initAnswer{Keys: []string{}, KeysBase64: []string{}, RecoveryKeys: inHex, RecoveryKeysBase64: inBase64, RootToken: made.RootToken}, nil
	}
	return &initAnswer{Keys: inHex, KeysBase64: inBase64, RootToken: made.RootToken}, nil
}

func encodeShares(shares [][]byte) (inHex, inBase64 []string) {
	for _, share := range shares {
		inHex = append(inHex, hex.EncodeToString(share))
		inBase64 = append(inBase64, base64.StdEncoding.EncodeToString(share))
	}
	return inHex, inBase64
}

// decodeShare reads a share as it was handed out, in either form.
func decodeShare(text string) ([]byte, error) {
	if text == "" {
		return nil, badRequest("a key share is missing: send it as key")
	}
	if share, err := hex.DecodeString(text); err == nil {
		return share, nil
	}
	share, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, badRequest("the key share is neither hexadecimal nor base64: check that it was copied whole")
	}
	return share, nil
}

// unsealRequest is the body of sys/unseal.
type unsealRequest struct {
	Key     string `json:"key"`
	Reset   bool   `json:"reset"`
	Migrate bool   `json:"migrate"`
}

func (g guard) unseal(ctx context.Context, req unsealRequest) (sealStatus, error) {
	switch {
	case req.Migrate:
		return sealStatus{}, badRequest("a seal is not migrated by unsealing: leave migrate out")
	case req.Reset:
		g.core.Keys().ResetUnseal()
		return newSealStatus(g.core.Status()), nil
	}
	share, err := decodeShare(req.Key)
	if err != nil {
		return sealStatus{}, err
	}
	defer clear(share)
	if err := g.core.Unseal(ctx, share); err != nil {
		return sealStatus{}, err
	}
	return newSealStatus(g.core.Status()), nil
}

// shareRequest hands in one share for a decision.
type shareRequest struct {
	Key   string `json:"key"`
	Nonce string `json:"nonce"`
}

// rootAttempt is how far the generation of a root token has come.
type rootAttempt struct {
	Nonce            string `json:"nonce"`
	Started          bool   `json:"started"`
	Progress         int    `json:"progress"`
	Required         int    `json:"required"`
	Complete         bool   `json:"complete"`
	EncodedToken     string `json:"encoded_token"`
	EncodedRootToken string `json:"encoded_root_token"`
	PGPFingerprint   string `json:"pgp_fingerprint"`
	OTP              string `json:"otp"`
	OTPLength        int    `json:"otp_length"`
}

func newRootAttempt(a seal.Attempt) rootAttempt {
	return rootAttempt{Nonce: a.Nonce, Started: a.Started, Progress: a.Progress, Required: a.Required, OTPLength: rootTokenSize}
}

func (g guard) rootStatus(context.Context, nothing) (rootAttempt, error) {
	attempt, err := g.core.Keys().RootStatus()
	return newRootAttempt(attempt), err
}

// rootRequest is the body that starts the generation of a root token.
type rootRequest struct {
	OTP    string `json:"otp"`
	PGPKey string `json:"pgp_key"`
}

func (g guard) startRoot(_ context.Context, req rootRequest) (rootAttempt, error) {
	if req.OTP != "" || req.PGPKey != "" {
		return rootAttempt{}, badRequest("the server chooses the one-time password: leave otp and pgp_key out, and decode with the otp of the answer")
	}
	password, attempt, err := g.core.Keys().StartRoot(rootTokenSize)
	answer := newRootAttempt(attempt)
	answer.OTP = password
	return answer, err
}

func (g guard) cancelRoot(context.Context, nothing) (nothing, error) {
	return nothing{}, g.core.Keys().CancelRoot()
}

func (g guard) approveRoot(ctx context.Context, req shareRequest) (rootAttempt, error) {
	share, err := decodeShare(req.Key)
	if err != nil {
		return rootAttempt{}, err
	}
	defer clear(share)
	encoded, attempt, err := g.core.Keys().ApproveRoot(ctx, req.Nonce, share, g.core.NewRootToken)
	answer := newRootAttempt(attempt)
	if encoded != nil {
		answer.Progress, answer.Complete = answer.Required, true
		answer.EncodedToken = base64.RawStdEncoding.EncodeToString(encoded)
		answer.EncodedRootToken = answer.EncodedToken
	}
	return answer, err
}
