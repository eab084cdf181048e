package broker

import (
	"fmt"
	"slices"

	"github.com/loopmq/loopmq/auth/acl"
	"github.com/loopmq/loopmq/router"
)

// quota is what holds for a user who comes through a listener.
func (l *login) quota(user, clientID string, from *router.Listener) (q Quota) {
	for i := range l.broker.cfg.Quotas {
		if rule := &l.broker.cfg.Quotas[i]; rule.isFor(user, clientID, from, l.rules) {
			q.Tighten(rule.Quota)
		}
	}
	return q
}

// isFor tells whether a rule speaks of a client. Roles are those of the access
// control file of the listener.
func (q *QuotaRule) isFor(user, clientID string, from *router.Listener, rules *ruleBook) bool {
	if len(q.Listeners) > 0 && (from == nil || !slices.Contains(q.Listeners, from.Name)) {
		return false
	}
	if len(q.Clients) > 0 && !slices.ContainsFunc(q.Clients, func(glob string) bool { return acl.Globs(glob, clientID) }) {
		return false
	}
	if len(q.Users)+len(q.Roles) == 0 || slices.Contains(q.Users, user) {
		return true
	}
	return slices.ContainsFunc(q.Roles, func(role string) bool {
		_, has := rules.rules.Role(role, user)
		return has
	})
}

// roles are those that quotas speak of.
func (c *Config) roles() (names []string) {
	for _, q := range c.Quotas {
		names = append(names, q.Roles...)
	}
	return names
}

// checkQuotas finds roles that no access control file has: such a quota would
// bound nobody.
func (s *settings) checkQuotas() error {
	for _, q := range s.cfg.Quotas {
		for _, role := range q.Roles {
			if !slices.ContainsFunc(s.doors, func(d *door) bool {
				known, _ := d.login.rules.rules.Role(role, "")
				return known
			}) {
				return fmt.Errorf("quota: no access control file has a role %q; write role %s = USER, USER into it", role, role)
			}
		}
	}
	return nil
}
