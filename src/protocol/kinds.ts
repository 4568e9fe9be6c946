/** Numbers of the Nostr events this program reads or writes, each with the page that defines it. */
export const KIND = {
  /** Profile of the node. https://github.com/nostr-protocol/nips/blob/master/01.md */
  profile: 0,
  /** Request to delete. https://github.com/nostr-protocol/nips/blob/master/09.md */
  deletion: 5,
  /** Message of a chat. https://github.com/nostr-protocol/nips/blob/master/17.md */
  chatMessage: 14,
  /** Seal around a rumor. https://github.com/nostr-protocol/nips/blob/master/59.md */
  seal: 13,
  /** Gift wrap that relays store. https://github.com/nostr-protocol/nips/blob/master/59.md */
  wrap: 1059,
  /** Gift wrap that relays pass on without storing. https://github.com/nostr-protocol/nips/blob/master/59.md */
  ephemeralWrap: 21059,
  /** Relays a key writes to and reads from. https://github.com/nostr-protocol/nips/blob/master/65.md */
  relayList: 10002,
  /** Relays that take private messages for a key. https://github.com/nostr-protocol/nips/blob/master/17.md */
  messageRelays: 10050,
  /** Answer to a relay's challenge. https://github.com/nostr-protocol/nips/blob/master/42.md */
  relayAuth: 22242,
  /** Signature of an HTTP request. https://github.com/nostr-protocol/nips/blob/master/98.md */
  httpAuth: 27235,
  /** Request and answer frames inside a seal; this project's number, see docs of the DM protocol. */
  frame: 28421,
  /** Recommendation of a service. https://github.com/nostr-protocol/nips/blob/master/87.md */
  recommendation: 38000,
  /** Provider announcement. https://github.com/Routstr/protocol/blob/main/RIP-02.md */
  announcement: 38421,
  /** Verdict of an auditor on providers; practice of Routstr's clients, without a page of its own. */
  verdict: 38425,
} as const;
