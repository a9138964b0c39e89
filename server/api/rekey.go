package api

import (
	"context"

	"github.com/novatech/securevault/server/core/seal"
)

// rekeying answers for the shares of the unseal key, or of the recovery key.
type rekeying struct {
	guard
	recovery bool
}

// rekeyStatus is how far a rekey has come.
type rekeyStatus struct {
	Nonce                string   `json:"nonce"`
	Started              bool     `json:"started"`
	T                    int      `json:"t"` // of the shares to come, as is N
	N                    int      `json:"n"`
	Progress             int      `json:"progress"`
	Required             int      `json:"required"`
	PGPFingerprints      []string `json:"pgp_fingerprints"`
	Backup               bool     `json:"backup"`
	VerificationRequired bool     `json:"verification_required"`
	VerificationNonce    string   `json:"verification_nonce,omitempty"` // once there are new shares
}

// rekeyed is the answer to the last share of a rekey.
type rekeyed struct {
	Nonce                string   `json:"nonce"`
	Complete             bool     `json:"complete"`
	Keys                 []string `json:"keys"` // hexadecimal
	KeysBase64           []string `json:"keys_base64"`
	PGPFingerprints      []string `json:"pgp_fingerprints"`
	Backup               bool     `json:"backup"`
	VerificationRequired bool     `json:"verification_required"`
	VerificationNonce    string   `json:"verification_nonce,omitempty"`
}

// verifyStatus is how far the verification of new shares has come.
type verifyStatus struct {
	Nonce    string `json:"nonce"`
	Started  bool   `json:"started"`
	T        int    `json:"t"` // of the new shares, as is N
	N        int    `json:"n"`
	Progress int    `json:"progress"`
}

// verified is the answer to the last share of a verification.
type verified struct {
	Nonce    string `json:"nonce"`
	Complete bool   `json:"complete"`
}

// check refuses to act on keys that this server has not.
func (r rekeying) check() error {
	switch has := r.core.Status().Seal.Recovery; {
	case has && !r.recovery:
		return badRequest("this server unseals itself and has recovery keys: use sys/rekey-recovery-key, operator rekey -target=recovery")
	case !has && r.recovery:
		return badRequest("this server has unseal keys and no recovery keys: use sys/rekey, operator rekey without -target")
	}
	return nil
}

func (r rekeying) status(context.Context, nothing) (status rekeyStatus, err error) {
	if err := r.check(); err != nil {
		return status, err
	}
	a, err := r.core.Keys().RekeyStatus()
	return rekeyStatus{
		Nonce: a.Nonce, Started: a.Started, T: a.Split.Threshold, N: a.Split.Shares, Progress: a.Progress, Required: a.Required,
		VerificationRequired: a.Verify, VerificationNonce: a.Verification,
	}, err
}

func (r rekeying) start(ctx context.Context, req splitRequest) (status rekeyStatus, err error) {
	if err := r.check(); err != nil {
		return status, err
	}
	split, err := req.split(r.recovery)
	if err != nil {
		return status, err
	}
	if _, err := r.core.Keys().StartRekey(split, req.Verify); err != nil {
		return status, err
	}
	return r.status(ctx, nothing{})
}

func (r rekeying) cancel(context.Context, nothing) (nothing, error) {
	if err := r.check(); err != nil {
		return nothing{}, err
	}
	return nothing{}, r.core.Keys().CancelRekey()
}

// approve answers with the status, or with the new shares after the last of
// the old ones.
func (r rekeying) approve(ctx context.Context, req shareRequest) (any, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	share, err := decodeShare(req.Key)
	if err != nil {
		return nil, err
	}
	defer clear(share)
	shares, attempt, err := r.core.Keys().Rekey(ctx, req.Nonce, share)
	switch {
	case err != nil:
		return nil, err
	case shares == nil:
		return r.status(ctx, nothing{})
	}
	inHex, inBase64 := encodeShares(shares)
	return rekeyed{
		Nonce: attempt.Nonce, Complete: true, Keys: inHex, KeysBase64: inBase64,
		VerificationRequired: attempt.Verify, VerificationNonce: attempt.Verification,
	}, nil
}

func newVerifyStatus(a seal.Attempt) verifyStatus {
	return verifyStatus{Nonce: a.Nonce, Started: a.Started, T: a.Split.Threshold, N: a.Split.Shares, Progress: a.Progress}
}

func (r rekeying) verifyStatus(context.Context, nothing) (status verifyStatus, err error) {
	if err := r.check(); err != nil {
		return status, err
	}
	a, err := r.core.Keys().VerificationStatus()
	return newVerifyStatus(a), err
}

func (r rekeying) restartVerify(context.Context, nothing) (status verifyStatus, err error) {
	if err := r.check(); err != nil {
		return status, err
	}
	a, err := r.core.Keys().RestartVerification()
	return newVerifyStatus(a), err
}

// verify answers with the status, or with the end after the last new share.
func (r rekeying) verify(ctx context.Context, req shareRequest) (any, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	share, err := decodeShare(req.Key)
	if err != nil {
		return nil, err
	}
	defer clear(share)
	done, a, err := r.core.Keys().VerifyRekey(ctx, req.Nonce, share)
	switch {
	case err != nil:
		return nil, err
	case !done:
		return newVerifyStatus(a), nil
	}
	return verified{Nonce: a.Nonce, Complete: true}, nil
}

// noBackup answers for shares that the server would have kept.
func noBackup(context.Context, nothing) (nothing, error) {
	return nothing{}, badRequest("no backed-up keys found: the server keeps no shares of a key that they open")
}
