#!/usr/bin/env node
/**
 * node-canopen as one end of a CAN bus that is made of lines: `node peer.js server|client|services [NODE]`.
 *
 * Lines on stdin and stdout are JSON objects. {"id": 1541, "data": "4000200000000000"} is a CAN frame, to us or from
 * us. {"cmd": ...} asks for something and is answered, in order, by {"result": ...} or {"error": text, "code": number}.
 * The first line out is {"ready": "server"}. The process ends when stdin does.
 */
'use strict';

const readline = require('readline');

/** node-canopen takes its CRC from a C addon. These lines spare the machine a compiler; the parameters are checked. */
function crc16(width, reflected, polynomial, low, high, xorLow, xorHigh, start, data) {
    if (width !== 16 || reflected || polynomial !== 0x1021 || low || high || xorLow || xorHigh || start)
        throw new RangeError('only the CRC of SDO block transfers is known here');

    let value = 0;
    for (const byte of data) {
        value ^= byte << 8;
        for (let bit = 0; bit < 8; ++bit)
            value = ((value & 0x8000) ? (value << 1) ^ polynomial : value << 1) & 0xFFFF;
    }

    const result = Buffer.alloc(2);
    result.writeUInt16BE(value);
    return result;
}

function loadCanopen() {
    const at = require.resolve('node-crc', { paths: [require.resolve('canopen')] });
    require.cache[at] = { id: at, filename: at, loaded: true, exports: { crc: crc16 } };
    return require('canopen');
}

const { AccessType, DataType, Device } = loadCanopen();

const OBJECTS = [
    [0x2000, 'A byte', DataType.UNSIGNED8, 0x5A],
    [0x2001, 'A word', DataType.UNSIGNED16, 0xBEEF],
    [0x2002, 'A double word', DataType.UNSIGNED32, 0xDEADBEEF],
    [0x2003, 'A signed double word', DataType.INTEGER32, -123456],
    [0x2004, 'A short string', DataType.VISIBLE_STRING, 'abc'],
    [0x2005, 'A long string', DataType.VISIBLE_STRING, 'A string that does not fit one frame'],
    [0x2006, 'A file', DataType.OCTET_STRING, Buffer.alloc(3000, 'file ')],
    [0x2007, 'A constant', DataType.UNSIGNED32, 7, { accessType: AccessType.READ_ONLY }],
    [0x2008, 'A secret', DataType.UNSIGNED32, 8, { accessType: AccessType.WRITE_ONLY }],
    [0x2009, 'A limited word', DataType.UNSIGNED16, 100, { lowLimit: 10, highLimit: 200 }],
    [0x200A, 'A number of seven bytes', DataType.OCTET_STRING, Buffer.from('1234567')],
];

function makeServer(nodeId) {
    const device = new Device({ id: nodeId, enableLss: false });
    device.eds.addSdoServerParameter(0, 0x580 + nodeId, 0x600 + nodeId);
    for (const [index, parameterName, dataType, defaultValue, more] of OBJECTS)
        device.eds.addEntry(index, { parameterName, dataType, defaultValue, ...more });

    device.sdoServer.setBlockInterval(0);
    return device;
}

function makeClient(serverId) {
    const device = new Device({ id: serverId === 126 ? 125 : 126, enableLss: false });
    device.eds.addSdoClientParameter(serverId, 0x600 + serverId, 0x580 + serverId);
    return device;
}

/** Everything but SDO and PDO: it listens to node 9 and to whoever sends SYNC and TIME. */
function makeServices(nodeId) {
    const device = new Device({ id: nodeId, enableLss: false });
    const { eds } = device;
    eds.setSyncCobId(0x80);
    eds.setSyncOverflow(3);
    eds.setTimeCobId(0x100);
    eds.setTimeConsumerEnable(true);
    eds.setTimeProducerEnable(true);
    eds.setEmcyCobId(0x80 + nodeId);
    eds.addEmcyConsumer(0x80 + 9);
    eds.addHeartbeatConsumer(9, 200);
    eds.setHeartbeatProducerTime(100);
    const heard = device.heard = [];
    device.nmt.on('heartbeat', ({ deviceId, state }) => heard.push(['heartbeat', deviceId, state]));
    device.nmt.on('timeout', (deviceId) => heard.push(['timeout', deviceId]));
    device.nmt.on('changeState', (state) => heard.push(['state', state]));
    device.emcy.on('emergency', ({ cobId, em }) => heard.push(
        ['emcy', cobId, em.code, em.register, em.info.toString('hex')]));
    device.sync.on('sync', (counter) => heard.push(['sync', counter ?? null]));
    device.time.on('time', (date) => heard.push(['time', date.toISOString()]));
    return device;
}

/** What a tester may ask of it. */
const serviceCommands = {
    heard: async (device) => device.heard.splice(0),
    emcy: async (device, { code, info }) => {
        device.emcy.write(code, Buffer.from(info, 'hex'));
        return null;
    },
    time: async (device, { date }) => {
        device.time.write(new Date(date));
        return null;
    },
    produceSync: async (device, { period }) => {
        device.eds.setSyncCyclePeriod(period);
        device.eds.setSyncGenerationEnable(period > 0);
        return null;
    },
    nmt: async (device, { call, id }) => {
        device.nmt[call](id);
        return null;
    },
};

function say(line) {
    process.stdout.write(JSON.stringify(line) + '\n');
}

/** What a tester may ask a server about its own values. */
const serverCommands = {
    get: async (device, { index }) => device.eds.getEntry(index).raw.toString('hex'),
    set: async (device, { index, data }) => {
        device.eds.getEntry(index).raw = Buffer.from(data, 'hex');
        return null;
    },
};

/** Transfers with the other end. Times in milliseconds. */
const clientCommands = {
    upload: async (device, request, serverId) => {
        const { index, subIndex = 0, block = false, timeout = 1000 } = request;
        const data = await device.sdo.upload({ serverId, index, subIndex, timeout, blockTransfer: block });
        return data.toString('hex');
    },
    download: async (device, request, serverId) => {
        const { index, subIndex = 0, block = false, timeout = 1000 } = request;
        const data = Buffer.from(request.data, 'hex');
        await device.sdo.download(
            { serverId, index, subIndex, data, timeout, blockTransfer: block, blockInterval: 0 });
        return null;
    },
};

function main() {
    const mode = process.argv[2];
    const nodeId = Number(process.argv[3] || 5);
    const commands = { server: serverCommands, client: clientCommands, services: serviceCommands }[mode];
    if (!commands)
        throw new Error('usage: node peer.js server|client|services [NODE]');

    const device = { server: makeServer, client: makeClient, services: makeServices }[mode](nodeId);
    device.on('message', ({ id, data }) => say({ id, data: data.toString('hex') }));
    device.start();

    let last = Promise.resolve();
    const obey = async (request) => {
        try {
            if (!Object.hasOwn(commands, request.cmd))
                throw new Error(`no command ${request.cmd}`);

            say({ result: await commands[request.cmd](device, request, nodeId) });
        }
        catch (error) {
            say({ error: String(error.message), code: error.code ?? null });
        }
    };

    const lines = readline.createInterface({ input: process.stdin });
    lines.on('line', (text) => {
        const line = JSON.parse(text);
        if (line.cmd === undefined) {
            const data = Buffer.from(line.data, 'hex');
            device.receive({ id: line.id, data, len: data.length });
        }
        else {
            last = last.then(() => obey(line));
        }
    });
    lines.on('close', () => process.exit(0));
    say({ ready: mode });
}

main();
