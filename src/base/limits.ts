/** Every bound of the program in one table, each with its reason. */

const KiB = 1024;
const MiB = 1024 * KiB;

export const LIMITS = {
  config: {
    /** A file with 5,000 models is about 800 kB. */
    fileBytesMax: 1 * MiB,
    /** Keys are a few hundred bytes; more is the wrong file. */
    secretBytesMax: 16 * KiB,
    /** How long the command line waits for an answer of the running node. */
    askTimeoutMs: 5_000,
    /** Keys listed where nobody says how many: a few screens. */
    keysListed: 100,
  },
  doctor: {
    /** Less free disk than this is a warning: time to act long before the space that is kept back is needed. */
    spaceBytes: 1_024 * MiB,
    /** Relays that take longer to open a connection are counted as away. */
    relayMs: 12_000,
    pollMs: 50,
    /** What a node says about itself is a few kB. */
    infoBytesMax: 256 * KiB,
  },
  http: {
    /** A change token of a large payment is 8-20 kB; Node's default of 16 kB answers it with 431. */
    headerBytesMax: 64 * KiB,
    /** Browsers behind two proxies send about forty; a thousand are an attempt to have one of them overlooked. */
    headersMax: 200,
    /** Images travel as base64 inside JSON. */
    jsonBytesMax: 32 * MiB,
    /** Bodies on their way in, of all connections together; nobody has been asked for money yet. */
    arrivingBytesMax: 256 * MiB,
    /** A body up to this size is read however many others arrive. */
    arrivingBytesFree: 256 * KiB,
    /** Slow-loris: honest clients send their headers in one packet. */
    headersTimeoutMs: 10_000,
    /** A body of the size above must still arrive over a slow uplink. */
    requestTimeoutMs: 120_000,
    connectionsCheckMs: 1_000,
    /** Longer than the idle time of common reverse proxies (60 s), so that the proxy closes first. */
    keepAliveTimeoutMs: 75_000,
    connectionsMax: 4_000,
    /** Below the 15 s after which clients and proxies begin to give up on a silent stream. */
    heartbeatMs: 10_000,
    /** SIGTERM: streams get this long before they are ended with an error frame. */
    drainMs: 25_000,
    /** What ends an answer still has to reach its client before the connection is cut. */
    lastWordsMs: 1_000,
  },
  httpAuth: {
    /** An event with a long address is below 2 kB of base64. */
    charsMax: 8 * KiB,
    /** NIP-98: a signature is good for so long before and after its time. */
    windowSeconds: 60,
    /** Used events are remembered until none of them can be in the window any more; about 15 MB at most. */
    rememberSeconds: 120,
    rememberedMax: 100_000,
  },
  json: {
    /** JSON.stringify and schema checks recurse; 5,000 levels kill them, real requests need about ten. */
    depthMax: 64,
    messagesMax: 10_000,
    /** Values of one body: 10,000 messages have about 50,000; a million small ones stop the loop for a third of a second. */
    valuesMax: 100_000,
    /** A picture of 768 by 768 in OpenAI's count, 85 + 4 * 170, the most that Routstr Core charges for one. */
    mediumTokens: 765,
    /** Answers asked for at once; the ceiling is multiplied by it. */
    choicesMax: 8,
    modelIdCharsMax: 256,
  },
  token: {
    /** A proof is about 145 characters in a V4 token, so this is room for 128 proofs with DLEQ. */
    charsMax: 64 * KiB,
    proofsMax: 128,
    /** CBOR items of a V4 token: 128 proofs with DLEQ, witness and a keyset each have 3,200, as has 64 kB of bare ones. */
    itemsMax: 4_096,
    secretCharsMax: 512,
    /** Exposure to one mint by one payment: 1,000,000 sat. */
    msatMax: 1_000_000_000,
  },
  /** Refused credentials: each junk token costs the journal two entries and the mint a request. */
  junk: {
    /** Refusals per minute and at once from one address; people who paste the wrong key need a few. */
    sourcePerMinute: 20,
    sourceBurst: 20,
    /** The same for all addresses together at one mint: far above what honest wallets get wrong. */
    mintPerMinute: 600,
    mintBurst: 600,
    /** Refusals of requests that ran at the same time are counted in full, up to so many minutes of waiting. */
    debtMinutes: 5,
    /** Addresses remembered, about 2 MB; the one that was quiet for longest is forgotten first. */
    namesMax: 10_000,
  },
  deadTokens: {
    /** Proofs that the mint called spent, about 3 MB; forgotten ones are only asked about again. */
    claimsMax: 16_384,
    keepMs: 3_600_000,
  },
  mint: {
    timeoutMs: 10_000,
    responseBytesMax: 1 * MiB,
    /** A higher input fee than 1 unit per proof is taken for an attack on the presenter. */
    inputFeePpkMax: 1_000,
    keysetRefreshMs: 30_000,
    /** How long a client waits for an unresolved swap before it gets 503 and may retry the same token. */
    clientWaitMs: 12_000,
    retryFirstMs: 50,
    retryMaxMs: 300_000,
    /** What a mint refuses without a reason, or says that it has never heard of, is believed after this many attempts. */
    unknownRefusalsMax: 10,
    /** A keyset rotates once in months; a mint that asks for more plans than this is playing. */
    replansMax: 8,
    /** A mint that explains nothing, or forgot what it paid, is asked so often, in growing pauses: a quarter of an hour. */
    vagueRoundsMax: 14,
    /**
     * Requests to one mint: public mints refuse a busy address, some of them above one request a second. What comes too
     * fast waits its turn for so long, then its client is asked to come back.
     */
    budget: { perSecond: 5, burst: 10, waitMsMax: 5_000 },
    /**
     * Of these for quotes and for looking at what nobody has paid yet: strangers cause them for nothing, and swaps and
     * payments must always find the rest. What comes too fast is refused soon, because something else can be asked.
     */
    quoteBudget: { perSecond: 2, burst: 5, waitMsMax: 1_000 },
    breakerFailures: 3,
    breakerOpenMs: 15_000,
    /** Counters asked about at once, and how many times in a row none may be used: what wallets restore with (NUT-13). */
    surveyWindow: 100,
    surveyEmptyWindows: 3,
    /** Blinded messages made ahead per keyset, so that a payment does not wait for curve arithmetic. */
    blanksAhead: 128,
    /** Wait after a 429 that names none. */
    rateLimitedMs: 5_000,
    /** What is spent without outputs or change that can be restored is looked at once more after this, then believed. */
    lookTwiceMs: 2_000,
    /** Unblinded proofs kept ready for tokens: the change of about 300 payments. */
    unblindedMax: 4_096,
    /**
     * Signatures waiting for their DLEQ check in memory, about half a minute of work. What does not fit, and what
     * waits when the worker or the node ends, is never checked: a log line counts it.
     */
    uncheckedMax: 8_192,
    /** NUT-07 in portions that every mint accepts. */
    statesPerRequest: 100,
    keysPerKeysetMax: 256,
    keysetsMax: 1_024,
    /** Keysets kept over a restart, per mint and unit: about twenty of the usual 64 keys. */
    rememberedBytesMax: 128 * KiB,
    /** A payout planned with remembered keysets waits so long for the mint's own word. */
    rememberedWaitMs: 2_000,
  },
  invoice: {
    /** Invoices within their shown end; each is asked about until a day after it can be paid no more. */
    openMax: 1_000,
    /** With all that is kept for late payments: about 20 MB, and half a question a second to the mint. */
    unfinishedMax: 20_000,
    /**
     * Invoices per minute, and at once, for new accounts of one address and for one known account. Alone it neither
     * fills `openMax` in an hour nor, where invoices can be paid for a week, `unfinishedMax` before they end.
     */
    sourcePerMinute: 1.5,
    sourceBurst: 30,
    /** RIP-08. 1,000,000 sat, as the largest token. */
    satsMax: 1_000_000,
    /** A mint that names no end, or one in a year, is asked about its quote for an hour. */
    secondsMax: 3_600,
    /**
     * Some mints write invoices that can be paid for a week. A payment within so long after the invoice was made is
     * found; an end that lies further away is a mistake of the mint, and nobody would look after it for years.
     */
    payableSecondsMax: 30 * 86_400,
    /** An invoice that was paid at its last moment, or by a wallet that took its time, is still credited. */
    graceSeconds: 86_400,
    /** Longest invoices carry route hints and metadata; a bolt11 that fits a QR code is below 3 kB. */
    charsMax: 4_096,
    quoteCharsMax: 256,
    /** Rounds of asking, by age of the invoice; slower where many wait, so that no mint is hammered. */
    askFirstMs: 3_000,
    askSoonMs: 15_000,
    askLateMs: 60_000,
    askExpiredMs: 600_000,
    /** However many wait: within the day of grace each is asked about. */
    askSlowestMs: 21_600_000,
    /** The same for one whose shown end is more than its grace ago and that can still be paid. */
    askOldMs: 3_600_000,
    askOldSlowestMs: 43_200_000,
    /** Within these ages (seconds) the first two paces hold. */
    firstSeconds: 120,
    soonSeconds: 1_200,
    /** Waiting invoices that are asked about at the full pace. */
    fullPaceMax: 5,
  },
  hint: {
    /** A quote is below 5 kB; a mint that sends more than this at once is cut off. */
    payloadBytesMax: 1 * MiB,
    handshakeTimeoutMs: 8_000,
    connectTimeoutMs: 10_000,
    /** A mint that does not answer our close frame is cut off. */
    closeGraceMs: 1_000,
    /** Quotes heard of over one mint's socket; beyond it the oldest is left to polling, the newest has a buyer waiting. */
    quotesMax: 100,
    /** An honest mint has three things to say about a quote. What it says more often is not listened to. */
    perQuoteMax: 5,
    /** Messages read: two for each quote after a reconnect, then what a busy mint has to say. A large one counts often. */
    messagesBurst: 500,
    messagesPerSecond: 20,
    messageUnitBytes: 16 * KiB,
    /** A mint that sends more is left alone for so long; its quotes are polled as always. */
    floodRestMs: 600_000,
    backoffBaseMs: 2_000,
    backoffMaxMs: 600_000,
    /** A connection that lasted so long begins the back-off anew. */
    stableAfterMs: 60_000,
    /** Proxies cut idle sockets after 60 s; a dead peer is noticed within two of these. */
    pingMs: 45_000,
    /** How long the word of /v1/info holds that a mint sends hints or does not. */
    infoKeepMs: 3_600_000,
    /** A mint that does not answer /v1/info is not asked sooner, so that hints never trip the breaker of its money. */
    infoRetryMs: 300_000,
  },
  melt: {
    /** Quote again with a smaller amount where the fee reserve was larger than expected. */
    quotesMax: 4,
    /** Fee reserve expected before the first quote, in percent and at least this many sats. */
    reservePercent: 1,
    reserveSatsMin: 2,
    /** A mint that wants to keep back more than half of a payment is not paid with. */
    reserveShareMax: 0.5,
    /** Except of the smallest payments, for which mints have a least reserve: 2 sat with nutshell, 4 with cdk. */
    reserveSmallSats: 10,
    /** Lightning refunds of one account per minute, and at once: each asks an address and mints before it is judged. */
    refundsPerMinute: 6,
    refundsBurst: 10,
    /** The same refund without an Idempotency-Key within this time is the same call. */
    sameCallSeconds: 600,
    /** How often earnings are compared with the threshold, and the pause after a payout that did not work. */
    payoutCheckMs: 900_000,
  },
  expiry: {
    /** How often expired accounts are looked for, and how much of their index is read then. */
    sweepMs: 60_000,
    pageRows: 200,
    pagesPerSweep: 10,
    /** One after the other, each up to half a minute where an address or a mint is slow. */
    paymentsPerSweep: 20,
    /** Below this the reserve for fees would take a fifth and more: it stays, and can be had as a token. */
    satsMin: 10,
    /** After a payment that did not work, doubled each time: an address that is gone is asked once a day. */
    retryFirstMs: 900_000,
    retryMaxMs: 86_400_000,
    /** Accounts and hosts that are left alone for now; about 1 MB. */
    waitingMax: 10_000,
  },
  rotation: {
    /** How often the pool is looked through; what is found begins a week before it would be too late. */
    sweepMs: 3_600_000,
    beforeExpirySeconds: 604_800,
    /** Inputs of one swap: every mint takes so many. */
    inputsMax: 100,
    /** More proofs than this at one mint slow down audits and starts; far above what change of all sizes needs. */
    proofsMax: 2_000,
    /** Small proofs are only exchanged for so much of their worth. */
    feeShareMax: 0.05,
    /** Swaps begun for one mint in one sweep. */
    swapsPerSweep: 10,
    /** The next sweep where one did not suffice. */
    againMs: 60_000,
  },
  lnurl: {
    timeoutMs: 10_000,
    /** LUD-06 answers are below 2 kB; some carry a picture in their metadata. */
    answerBytesMax: 256 * KiB,
    addressCharsMax: 256,
    /** An invoice must leave time for its payment. */
    secondsLeftMin: 30,
  },
  upstream: {
    connectTimeoutMs: 10_000,
    /** Reasoning models think long before the first byte. */
    firstByteTimeoutMs: 300_000,
    idleTimeoutMs: 120_000,
    /** One connection per request in flight; more than any node of this size serves at once. */
    connectionsMax: 1_024,
    answerBytesMax: 64 * MiB,
    eventBytesMax: 1 * MiB,
    errorBytesMax: 64 * KiB,
    catalogueBytesMax: 8 * MiB,
    /** Bytes of an answer kept for a reader that is slower than the upstream; then the upstream has to wait. */
    readAheadBytes: 64 * KiB,
    /** Idle connections; shorter than the 60 s after which common servers close them without a word. */
    keepAliveMs: 20_000,
    /** No model has a context of this many tokens: larger counts are a broken or lying upstream. */
    usageTokensMax: 100_000_000,
    /** What of an upstream's own error text is shown to a client. */
    errorTextCharsMax: 500,
    retryAfterMaxMs: 3_600_000,
    /** The upstream's own list of models. */
    listTimeoutMs: 10_000,
    listRefreshMs: 3_600_000,
    listRetryMs: 30_000,
    modelsMax: 5_000,
  },
  rate: {
    timeoutMs: 8_000,
    answerBytesMax: 64 * KiB,
    refreshMs: 120_000,
    retryMs: 15_000,
    /** Bitcoin moves a few percent an hour at its worst; an older rate is not sold by. */
    staleMs: 3_600_000,
    /** A quote further from the median than this is wrong or manipulated. */
    outlierFraction: 0.05,
    /** USD per BTC outside these bounds is a broken answer. */
    usdMin: 1_000,
    usdMax: 100_000_000,
  },
  stream: {
    /** After a client left, the rest is read to learn the exact usage. */
    drainMs: 30_000,
    drainsMax: 32,
    /** An upstream that keeps its connection open after [DONE] is left after so long. */
    afterDoneMs: 2_000,
    /** A client that reads nothing for so long is treated as gone. */
    stalledMs: 30_000,
  },
  hold: {
    /** Renewed while its request lives; a hold without an owner falls back to its account after this. */
    leaseMs: 120_000,
    sweepMs: 5_000,
  },
  ledger: {
    /** Entries written into one journal value; larger groups only add latency. */
    groupEntriesMax: 2_048,
    /** Sealed tokens are large; a bigger group would only keep the others waiting. */
    groupCharsMax: 1 * MiB,
    /** So long, twice that at most, a hold waits for company on its way to the disk; its request waits for the AI server. */
    holdWaitMs: 10,
    /** A group of so many entries means that many ask at once, and that the next one does well to wait for company. */
    crowdEntries: 24,
    /** Turns of the event loop that it waits at most. */
    gatherTurnsMax: 4,
    /** HEAD follows a mirrored journal at this distance. */
    headTrailMs: 50,
    /** Waiting entries beyond this mean that the disk is not keeping up: new holds are refused. */
    queueMax: 20_000,
    /** Replay runs at about 300k entries per second, so an unclean start stays well below a second. */
    checkpointEntries: 20_000,
    /** Rows kept in memory though unchanged; 100,000 accounts are about 30 MB. */
    cachedRowsMax: 100_000,
    /** Changed rows before an early checkpoint: all of them are handed to LevelDB in one go, which holds up the loop. */
    checkpointRows: 2_000,
    /** Pause after the last movement before changed rows are written, so that a later start is short. */
    checkpointIdleMs: 5_000,
    /** Ids of closed holds remembered, so that a late request with the same id does not hold again. */
    closedHoldsMax: 16_384,
    /** One-shot payments whose split is kept together for their change; the oldest is shared out first. */
    ownersAsideMax: 4_096,
    /** Mints refuse requests with more inputs than about this. */
    swapInputsMax: 1_000,
    /** Journal read again at a start: more than LevelDB keeps in the logs that a crash or a flipped bit can shorten. */
    recheckChars: 12 * MiB,
    /** Checkpoints remembered by number, so that a missing one is noticed; far more than the journal above spans. */
    pointsKept: 16_384,
    /** A start reads the newest file of the mirror only. */
    mirrorFileBytes: 32 * MiB,
    /** A group and one entry more; a longer record is damage. */
    mirrorRecordBytesMax: 16 * MiB,
    /** LevelDB needs as much as its log, 4 MiB, to open again after the disk was full. */
    ballastBytes: 8 * MiB,
    /** Free space beyond the ballast before a full ledger is taken up again. */
    roomBytes: 8 * MiB,
    /** Pause before a ledger that could not be written is looked at again. */
    recoverRetryMs: 2_000,
  },
  outcome: {
    /** Answers of one-shot payments kept in memory for a client that lost its connection. */
    keepMs: 600_000,
    bytesMax: 64 * MiB,
    entryBytesMax: 4 * MiB,
    /** Payouts that a slow mint delayed and whose client was told to come back; the oldest is forgotten first. */
    promisedMax: 4_096,
  },
  children: {
    /** One row lists them; at this many it is 17 kB. */
    perParentMax: 256,
    perRequestMax: 50,
    modelsMax: 100,
  },
  rateLimit: {
    /** Per key: far above what a person or an agent needs, far below what hurts the others. */
    requestsPerMinute: 6_000,
    /** Keys remembered at a time; about 5 MB. */
    bucketsMax: 50_000,
  },
  loop: {
    /** A program that repeats itself so often does not read the answers. */
    identicalRequests: 8,
    windowMs: 60_000,
    /** Bodies remembered at a time; about 10 MB. */
    bodiesMax: 50_000,
  },
  history: {
    pageMax: 100,
    page: 50,
    /** Journal values read per request: each is at most 1 MiB and checked against its hash in a millisecond or two. */
    readsMax: 200,
    /** Upstreams that one request can have been tried at. */
    attemptsMax: 16,
  },
  idempotency: {
    /** A client that comes back from a long outage must not pay twice; processors of card payments keep a day. */
    keepSeconds: 31 * 86_400,
    /** Rows forgotten per sweep: more than a node of this size gets in the time between two, and one small entry. */
    forgetPerSweep: 500,
    sweepMs: 60_000,
    keyCharsMax: 255,
  },
  relay: {
    payloadBytesMax: 1 * MiB,
    handshakeTimeoutMs: 8_000,
    connectTimeoutMs: 10_000,
    publishTimeoutMs: 8_000,
    backoffBaseMs: 1_000,
    backoffMaxMs: 300_000,
    stableAfterMs: 30_000,
    relaysMax: 20,
    queryTimeoutMs: 6_000,
    eventsPerQueryMax: 2_000,
    /** Asked for when a filter names no limit; `limit:0` never ends on some relays. */
    queryLimitDefault: 500,
    /**
     * Messages read per link at once and per second, a large one counting once per unit: room for what a relay has
     * stored (500 per request), and about a twentieth of a core afterwards.
     */
    floodBurst: 2_000,
    floodPerSecond: 500,
    floodUnitBytes: 16 * KiB,
    /** After so many dropped messages the socket is left unread for a moment; even dropping costs something. */
    floodRestEvery: 100,
    floodRestMs: 100,
    /** When messages were dropped, subscriptions are asked anew once this has passed, so that stored events come again. */
    floodCalmMs: 60_000,
    /** An answer with at least so many stored events may have been cut by the relay: older ones are asked for. */
    pageFromEvents: 100,
    pagesMax: 20,
    /**
     * Events we publish per role unless relays.json says otherwise: the strictest public relays let about six in; a
     * relay for messages must take answers; one for streams takes four a second of each of twenty.
     */
    pace: {
      announce: { perMinute: 6, burst: 5 },
      dm: { perMinute: 60, burst: 20 },
      rpc: { perMinute: 4_800, burst: 200 },
    },
    /** NIP-11 documents are about 2 kB. */
    documentTimeoutMs: 5_000,
    documentBytesMax: 64 * KiB,
    documentKeepMs: 86_400_000,
    /** A relay that says `rate-limited:` is left alone for so long, doubled each time. */
    rateLimitedMs: 600_000,
    rateLimitedMaxMs: 7_200_000,
    /** The same for relays that carry conversations, whose answers cannot wait. */
    rateLimitedTalkMs: 2_000,
    /** Proxies cut idle sockets after 60 s; a dead peer is noticed within the sum of both. */
    pingMs: 25_000,
    pongTimeoutMs: 10_000,
    /** A relay that does not answer our close frame is cut off. */
    closeGraceMs: 250,
    /** Challenges answered per connection, and repetitions of a REQ that had to wait for one. */
    authAttemptsMax: 3,
    tagsMax: 2_000,
  },
  wrap: {
    /** A wrap of 64 kB, the largest that relays take, has 60,000; twice that is room for generous relays. */
    payloadCharsMax: 131_072,
    /** What is encrypted by ourselves; relays take far less. */
    plaintextBytesMax: 1 * MiB,
    /** Larger events than about 945 kB break the WebAssembly of the signature library. */
    fastCharsMax: 256 * KiB,
    /** NIP-59: created_at of a stored wrap lies anywhere in the last two days. */
    backdateSecondsMax: 2 * 86_400,
    /** Conversation keys remembered, 32 bytes each: of peers, and of keys made for one stream. */
    conversationsMax: 2_000,
    wrapKeysMax: 256,
    /** Recipients whose key is kept ready for the next wrap, some kilobytes each. */
    recipientsMax: 256,
  },
  /** Wraps that arrive. */
  inbox: {
    /** NIP-59 dates stored wraps back up to two days; a day of margin for relays that were away. */
    storedSecondsMax: 3 * 86_400,
    /** Relays pass ephemeral wraps on at once, some repeat them for five minutes. */
    liveSecondsMax: 600,
    /** Clocks of others; a wrap that comes from the future stays replayable for longer. */
    futureSecondsMax: 300,
    /** Wraps from one relay: what a busy relay brings, and what piles up while the node is away. */
    relayPerSecond: 200,
    relayBurst: 2_000,
    /** Letters of one key; a person writes a few a minute, a program a few a second, and repeats them. */
    senderPerSecond: 20,
    senderBurst: 300,
    /** Keys and relays whose budget is remembered; the quiet ones have a full one anyway. */
    namesMax: 10_000,
    /** Milliseconds of opening per second: more would be felt by HTTP, which has the rest. */
    workMsPerSecond: 150,
    workBurstMs: 250,
    pauseMsMax: 50,
    /** Wraps waiting to be opened; at the pace above a minute of them or less. */
    queueMax: 2_000,
    /** Stored wraps that found no room are asked for again after so long. */
    makeUpMs: 60_000,
    /** Ids of wraps in memory, about 10 MB. */
    seenMax: 50_000,
    /** Ids on disk: slots of ten minutes in a ring of three and a half days, each with so many. */
    slotSeconds: 600,
    slots: 504,
    slotIdsMax: 2_000,
    flushMs: 300_000,
    /** Tags of a wrap and their characters: honest ones have one or two, of a hundred characters. */
    tagsMax: 64,
    tagCharsMax: 4_096,
    /** Relays that one letter is answered on. */
    relaysMax: 2,
  },
  /** Requests in direct messages. */
  dmi: {
    /** Twice encrypted and in base64 it makes an event of 60,000 bytes, which is what relays take. */
    frameBytesMax: 27_000,
    /** Base64 of a body beside the other fields of its frame. */
    bodyCharsInFrame: 20_000,
    partCharsMax: 26_000,
    /** Usage beside a body and a few headers; longer ones stay in the body, where they stand anyway. */
    usageBytesMax: 1_500,
    eventNameCharsMax: 64,
    partsMax: 64,
    /** As JSON requests with a picture or two; what is larger belongs on a server that both can reach. */
    bodyBytesMax: 8 * MiB,
    /** Deflating less costs more than it saves. */
    plainBytesMax: 1_024,
    /** Text of one chunk of a stream: fits a frame even where four bytes make a character and nothing deflates. */
    mergedCharsMax: 3_500,
    /** A request may wait so long for its delivery; a client that plans further ahead has a wrong clock. */
    aheadSecondsMax: 600,
    clockSecondsMax: 900,
    /** Requests under way: of one key, and of all. */
    perSenderMax: 4,
    runningMax: 64,
    totalMs: 600_000,
    /** Parts of a request: until the missing ones are named, and until all are given up. */
    partsAskMs: 1_500,
    /** A paid request is accepted with its estimate, or after so long without; clients wait two seconds for it. */
    acceptMs: 1_000,
    partsMs: 60_000,
    /** Frames of a stream: at most so often, at least so often where a relay sends us away, and when there is nothing. */
    everyMs: 250,
    everyMsMax: 3_000,
    keepAliveMs: 15_000,
    /** A stream that no relay takes for so long has no reader. */
    unheardMs: 60_000,
    /** After a client left, its answer may still be read to its end to learn what it costs. */
    settleMs: 45_000,
    /** Answers in memory for clients that missed a frame. */
    keepMs: 600_000,
    keptBytesMax: 32 * MiB,
    /** The same answer again for one request, and the least time between two. */
    againMax: 20,
    againMs: 1_000,
    /** Requests on record: longer than any wrap of theirs is accepted. */
    recordSeconds: 7 * 86_400,
    /** What has value waits for its acknowledgement: sent again after these times, the last of them over and over. */
    valueSeconds: 30 * 86_400,
    resendMs: [10_000, 600_000, 3_600_000, 21_600_000, 86_400_000],
    outboxMax: 1_000,
  },
  /** A buyer's side of requests in direct messages. */
  ask: {
    /** How long the relays may take to say that they listen for us, before anything is sent. */
    readyMs: 8_000,
    graceMs: 300,
    /** The same request again, by other relays, when nothing was heard for so long. */
    tryMs: 10_000,
    triesMax: 3,
    /** Relays that get a request at once: one may be dead. */
    relaysAtOnce: 2,
    /** The node is heard from every 15 s while it works. After this it is asked, after that given up. */
    quietMs: 18_000,
    idleMs: 30_000,
    totalMs: 600_000,
    /** Frames overtake each other on their way; what is still missing after this was lost. */
    gapMs: 1_000,
    /** Repairs of one answer without any progress; a node that never sends the rest is given up. */
    repairsMax: 6,
    /** A request lives so long on a relay; nodes take up to ten minutes. */
    expireSeconds: 300,
    /** Stored messages are dated back up to two days; another day for clocks that differ. */
    sinceSeconds: 3 * 86_400,
    /** Ids of messages seen on several relays. */
    seenMax: 10_000,
    /** Frames kept of a stream that nobody has read yet, and their texts: no answer has more. */
    aheadMax: 20_000,
    aheadBytesMax: 32 * MiB,
    requestsMax: 64,
    pingMs: 8_000,
    /** A local client of the proxy must send its request within this time. */
    bodyMs: 60_000,
  },
  /** Conversations with people who write from any app. */
  chat: {
    /** Messages of one key; people write a few a minute. */
    perSecond: 0.5,
    burst: 30,
    /** Answers to a key that has never paid: enough to look around and to ask for an invoice. */
    strangerPerSecond: 10 / 3_600,
    strangerBurst: 10,
    /** The same for all of them together, because keys cost nothing. */
    strangersPerSecond: 1,
    strangersBurst: 60,
    /** Messages of one key that wait for the answer to the one before. */
    waitingMax: 8,
    /** The same for messages with tokens, which nobody should have to paste twice. */
    moneyWaitingMax: 64,
    /** Beyond the budgets above: notices that a token was not taken, for each key and for all of them. */
    noticesPerSecond: 10 / 3_600,
    noticesBurst: 3,
    allNoticesPerSecond: 0.5,
    allNoticesBurst: 30,
    /** Whoever reads an answer to a prompt after an hour has gone on; commands are taken as long as relays keep them. */
    promptSecondsMax: 3_600,
    commandSecondsMax: 3 * 86_400,
    futureSecondsMax: 900,
    /** Ids of rumors in memory, about 2 MB; a copy that comes later still moves no money twice. */
    seenMax: 20_000,
    tokensMax: 5,
    /** What the model is shown of a conversation, and for how long; 32 MB in all at most. */
    turnsMax: 20,
    contextCharsMax: 32 * KiB,
    contextMs: 3_600_000,
    conversationsMax: 1_000,
    systemCharsMax: 4_000,
    modelMs: 7 * 86_400_000,
    modelsChosenMax: 5_000,
    /** About fifteen pages; the most that a message can cost follows from it. */
    maxTokens: 4_096,
    answerCharsMax: 256 * KiB,
    /** Apps and relays take messages of this size; a token of 128 proofs fits into one wrap, uncut. */
    replyBytesMax: 20_000,
    tokenBytesMax: 27_000,
    modelsListed: 30,
    /** Invoices not paid, refunds and deposits not told, in one value of a few hundred kB; then nobody looks any more. */
    othersMax: 300,
    topUpsMax: 200,
    pendingPerSender: 5,
    /** From then on a message gives way to newer ones, and all but refunds are given up. */
    pendingSeconds: 7 * 86_400,
    /** Below `idempotency.keepSeconds`: a forgotten refund that is asked for again would be another one. */
    refundSeconds: 30 * 86_400,
    lookMs: 3_000,
    refundRetryMs: 30_000,
    /** Pauses before an answer that no relay took is sent once more. */
    tellAgainMs: [2_000, 10_000, 30_000],
    /** Whose relays for messages are remembered, and for how long. */
    inboxesMax: 1_000,
    inboxMs: 3_600_000,
  },
  announce: {
    eventBytesMax: 60_000,
    tagsMax: 90,
    modelLabelsMax: 48,
    debounceMs: 30_000,
    /** Between two announcements, and between two that differ in prices only: strict relays take six events a minute. */
    gapMs: 120_000,
    priceGapMs: 600_000,
    /** Relays refuse AUTH and ephemeral events from a clock that is further off. */
    clockOffMsMax: 60_000,
    tombstoneMs: 2_000,
    /** Together with labels and single tags these stay within tagsMax. */
    urlsMax: 8,
    mintsMax: 20,
    relaysMax: 8,
    wordsMax: 4,
    /** Relays refuse values of single-letter tags above 1,024 bytes. */
    tagBytesMax: 1_024,
    textCharsMax: 4_000,
    /** Expiry and staleness in heartbeats: two may be lost. */
    heartbeatsMax: 3,
    /** A listed price that moved by less does not make a new announcement. */
    priceMovePercent: 2,
    /** Profile and relay list are repeated weekly, because relays forget. */
    profileSeconds: 604_800,
    /** More is not believed of one event; 60,000 bytes hold about 700. */
    modelsReadMax: 5_000,
    /** 10 BTC: larger prices and fees in an announcement are nonsense, and sums of them would leave 2^53. */
    msatMax: 1_000_000_000_000,
  },
  discover: {
    /** Events further in the future than this are forged or from a broken clock. */
    futureSecondsMax: 900,
    probeTimeoutMs: 5_000,
    probesParallel: 8,
    bodyBytesMax: 4 * MiB,
    /** All probes of one discovery; providers not reached by then are listed as unchecked. */
    timeoutMs: 20_000,
    /** Addresses of one provider that are asked who they are. */
    urlsMax: 3,
    /** Old nodes announce without a heartbeat; after a day without a new event they must prove to be alive. */
    unmarkedSecondsMax: 86_400,
    /** A warm start answers within a second: what relays and nodes add in this time is used, the rest is left out. */
    warmMs: 700,
    /** Of that, the share of the relays; the rest is for addresses that are not proven yet. */
    warmRelaysMs: 400,
    /** Announcements kept for a warm start. Each is verified again, which costs up to 1.5 ms. */
    cachedEventsMax: 200,
    /** Recommendations and verdicts kept, likewise. */
    cachedTrustMax: 100,
    /** Price lists read over HTTP that are kept: longer ones are read again. */
    cachedModelsMax: 500,
    /** 300 events of 60 kB would be 18 MB, but those kept are mostly below 10 kB; a larger file is not ours. */
    cacheBytesMax: 16 * MiB,
    /** Proof that an address belongs to a key is believed for a day without asking again. */
    provenSecondsMax: 86_400,
    /** Providers whose own history is kept; the one used longest ago is forgotten first. */
    historyMax: 1_000,
    /** Keys whose recommendations count: more authors do not fit into one filter of common relays. */
    followsMax: 500,
    auditorsMax: 20,
    /** What a node says about other nodes: so many, and looked up so often. */
    directoryMax: 100,
    directoryMs: 600_000,
  },
} as const;
