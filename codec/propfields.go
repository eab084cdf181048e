package codec

// data returns the field of a string or binary property.
func (p *Properties) data(id PropertyID) *[]byte {
	switch id {
	case PropContentType:
		return &p.ContentType
	case PropResponseTopic:
		return &p.ResponseTopic
	case PropCorrelationData:
		return &p.CorrelationData
	case PropAssignedClientID:
		return &p.AssignedClientID
	case PropAuthMethod:
		return &p.AuthMethod
	case PropAuthData:
		return &p.AuthData
	case PropResponseInformation:
		return &p.ResponseInformation
	case PropServerReference:
		return &p.ServerReference
	default:
		return &p.ReasonString
	}
}

// setNumber stores a numeric property.
func (p *Properties) setNumber(id PropertyID, v uint32) {
	if id == PropSubscriptionID {
		p.SubscriptionIDs = append(p.SubscriptionIDs, v)
		return
	}
	u32, u16, u8 := p.numeric(id)
	switch {
	case u32 != nil:
		*u32 = v
	case u16 != nil:
		*u16 = uint16(v)
	default:
		*u8 = byte(v)
	}
}

// number returns a numeric property.
func (p *Properties) number(id PropertyID) uint32 {
	u32, u16, u8 := p.numeric(id)
	switch {
	case u32 != nil:
		return *u32
	case u16 != nil:
		return uint32(*u16)
	}
	return uint32(*u8)
}

// numeric returns the field of a numeric property, by its size.
func (p *Properties) numeric(id PropertyID) (u32 *uint32, u16 *uint16, u8 *byte) {
	switch id {
	case PropMessageExpiry:
		return &p.MessageExpirySeconds, nil, nil
	case PropSessionExpiry:
		return &p.SessionExpirySeconds, nil, nil
	case PropWillDelay:
		return &p.WillDelaySeconds, nil, nil
	case PropMaximumPacket:
		return &p.MaximumPacketBytes, nil, nil
	case PropServerKeepAlive:
		return nil, &p.ServerKeepAliveSeconds, nil
	case PropReceiveMaximum:
		return nil, &p.ReceiveMaximum, nil
	case PropTopicAliasMaximum:
		return nil, &p.TopicAliasMaximum, nil
	case PropTopicAlias:
		return nil, &p.TopicAlias, nil
	case PropPayloadFormat:
		return nil, nil, &p.PayloadFormat
	case PropRequestProblem:
		return nil, nil, &p.RequestProblem
	case PropRequestResponse:
		return nil, nil, &p.RequestResponse
	case PropMaximumQoS:
		return nil, nil, &p.MaximumQoS
	case PropRetainAvailable:
		return nil, nil, &p.RetainAvailable
	case PropWildcardAvailable:
		return nil, nil, &p.WildcardAvailable
	case PropSubscriptionIDAvailable:
		return nil, nil, &p.SubscriptionIDAvailable
	default:
		return nil, nil, &p.SharedAvailable
	}
}
