package decide

// token is what policy reads of a caller's claims.
type token struct {
	verified    bool // somebody vouches for the claims; without, there is nothing else
	current     bool
	named       bool // the claims name a subject
	subject     string
	permissions []string
	issued      number
	dated       bool // the claims say when the token was issued
}

// tokenOf reads the token at that time, in nanoseconds since 1970.
func tokenOf(q Query, now int64) (t token, err error) {
	if !q.TokenValid {
		return token{}, nil
	}
	t.verified = true
	if t.subject, t.named, err = stringOf(q.Claims["sub"]); err != nil {
		return token{}, err
	}
	if t.permissions, err = stringsOf(q.Claims["permissions"]); err != nil {
		return token{}, err
	}
	if t.issued, t.dated, err = numberOf(q.Claims["iat"]); err != nil {
		return token{}, err
	}
	t.current, err = current(q.Claims, now)
	return t, err
}

// current reports whether the token is in force (RFC 7519, 4.1.4 and 4.1.5).
func current(claims map[string]any, now int64) (bool, error) {
	expires, ok, err := numberOf(claims["exp"])
	if !ok || err != nil {
		return false, err
	}
	notBefore := integer(0)
	if claim, said := claims["nbf"]; said {
		if notBefore, ok, err = numberOf(claim); !ok || err != nil {
			return false, err
		}
	}
	end, ended := expires.seconds(now)
	start, begun := notBefore.seconds(now)
	return ended && begun && end > 0 && start <= 0, nil
}

// issuedSince reports whether the token says that it was issued at that time or
// after it.
func (t *token) issuedSince(validAfter int64) bool {
	if !t.dated {
		return false
	}
	order, ok := t.issued.seconds(validAfter)
	return ok && order >= 0
}
