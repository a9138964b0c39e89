package api

import "context"

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
	if _, err := r.core.Keys().StartRekey(split); err != nil {
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
	return rekeyed{Nonce: attempt.Nonce, Complete: true, Keys: inHex, KeysBase64: inBase64}, nil
}
